/** A headless Chromium for tests, driven over a pipe by the DevTools protocol. Loopback only. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './process.ts'

export interface Browser {
  /** Goes to an address and waits until the page is loaded. */
  go: (url: string) => Promise<void>
  /** The value of an expression in the page. */
  evaluate: (expression: string) => Promise<unknown>
  /** Waits until an expression is truthy in the page, whichever page that is by then; gives its value. */
  waitFor: (expression: string, timeoutMs?: number) => Promise<unknown>
  /** Presses and releases the mouse in the middle of what a selector finds, as a human does. */
  click: (selector: string) => Promise<void>
  /** What pages wrote to the console as errors, broken rules of a Content-Security-Policy among them. */
  readonly errors: readonly string[]
  close: () => Promise<void>
}

type Reply = Record<string, unknown>

/** @param userAgent in place of its own, which says that it is headless */
export async function startChromium(userAgent?: string): Promise<Browser> {
  const dir = mkdtempSync(join(tmpdir(), 'mta-chromium-'))
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', '--', 'chromium', '--headless=new', '--no-sandbox', '--disable-gpu'],
      ...['--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-sync'],
      ...['--disable-component-update', '--remote-debugging-pipe', `--user-data-dir=${dir}`],
      ...(userAgent === undefined ? [] : [`--user-agent=${userAgent}`]),
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
  )
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  const toBrowser = child.stdio[3] as Writable
  const fromBrowser = child.stdio[4] as Readable
  toBrowser.on('error', () => undefined)
  const waiting = new Map<number, (reply: Reply) => void>()
  const errors: string[] = []
  let pending = ''
  fromBrowser.setEncoding('utf8').on('data', (text: string) => {
    const messages = (pending + text).split('\0')
    pending = messages.pop() ?? ''
    for (const message of messages) {
      const reply = JSON.parse(message) as Reply & { id?: number; method?: string }
      if (reply.id !== undefined) waiting.get(reply.id)?.(reply)
      else if (reply.method === 'Log.entryAdded' || reply.method === 'Runtime.exceptionThrown') errors.push(message)
    }
  })
  let lastId = 0
  const send = (method: string, params: object, sessionId?: string) =>
    new Promise<Reply>((resolve, reject) => {
      const id = ++lastId
      waiting.set(id, reply => {
        waiting.delete(id)
        if (reply['error']) reject(new Error(`${method}: ${JSON.stringify(reply['error'])}`))
        else resolve(reply['result'] as Reply)
      })
      void exited.then(() => reject(new Error('chromium ended')))
      toBrowser.write(`${JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) })}\0`)
    })

  const page = await until(
    'a page',
    async () => {
      const { targetInfos } = (await send('Target.getTargets', {})) as {
        targetInfos?: { type: string; targetId: string }[]
      }
      return targetInfos?.find(target => target.type === 'page')
    },
    30_000,
  )
  const { sessionId } = (await send('Target.attachToTarget', { targetId: page.targetId, flatten: true })) as {
    sessionId: string
  }
  const call = (method: string, params: object = {}) => send(method, params, sessionId)
  for (const domain of ['Page', 'Runtime', 'Log']) await call(`${domain}.enable`)
  const evaluate = async (expression: string) => {
    const { result, exceptionDetails } = (await call('Runtime.evaluate', { expression, returnByValue: true })) as {
      result: { value?: unknown }
      exceptionDetails?: unknown
    }
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return result.value
  }
  const waitFor = (expression: string, timeoutMs = 20_000) =>
    until(`${expression} in the page`, () => evaluate(expression), timeoutMs, 50)
  return {
    errors,
    evaluate,
    waitFor,
    go: async url => {
      await call('Page.navigate', { url })
      await waitFor('document.readyState === "complete"')
    },
    click: async selector => {
      const [x, y] = (await evaluate(
        `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView();
           const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`,
      )) as [number, number]
      for (const type of ['mousePressed', 'mouseReleased']) {
        await call('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 })
      }
    },
    close: async () => {
      await send('Browser.close', {}).catch(() => undefined)
      const insist = setTimeout(() => child.pid && process.kill(-child.pid, 'SIGKILL'), 5000)
      await exited
      clearTimeout(insist)
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
