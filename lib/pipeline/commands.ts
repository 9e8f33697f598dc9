/** What `./start.sh` does beside supervising. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { probe } from './health-probe.ts'
import type { PipelinePlan } from './plan.ts'
import { isAlive, type RunningState } from './running-state.ts'

/** Takes lines for people. */
export type Say = (text: string) => void

/** Makes the file of link keys when there is none, through the tool that also rotates them. */
export async function makeLinkKeys(plan: PipelinePlan, root: string, say: Say): Promise<void> {
  if (existsSync(plan.linkKeysFile)) return
  mkdirSync(dirname(plan.linkKeysFile), { recursive: true })
  execFileSync(process.execPath, ['cmd/linktool.ts', 'keys', 'new', '--link-keys', plan.linkKeysFile], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  say(`made link keys in ${plan.linkKeysFile}: keep a copy in a safe place`)
}

/**
 * Installs what the children need beyond Node: redis-server, when one of our own is to run.
 * @returns false when it is missing and can't be installed; the reason was told on standard error
 */
export function installMissing(plan: PipelinePlan, root: string): boolean {
  if (plan.children.every(child => child.name !== 'redis')) return true
  const script = '. scripts/environment.sh && need_tool redis-server redis-server'
  return (
    spawnSync('bash', ['-c', script, 'start.sh'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
  )
}

/**
 * Has every process judge its settings before any is started.
 * @returns what is wrong, a line each; empty when all is good
 */
export async function checkSettings(plan: PipelinePlan, root: string): Promise<string[]> {
  const run = promisify(execFile)
  const verdicts = plan.children
    .filter(child => child.name !== 'redis')
    .map(async child => {
      try {
        await run(child.command, [...child.args, '--check'], { cwd: root, env: { ...process.env, ...child.env } })
        return ''
      } catch (error) {
        const { stderr, message } = error as Error & { stderr?: string }
        return (stderr || message).trim()
      }
    })
  return (await Promise.all(verdicts)).filter(verdict => verdict !== '')
}

/** Prints a line for each process; whether all are well. */
export async function printStatus(plan: PipelinePlan, state: RunningState, say: Say): Promise<boolean> {
  let well = true
  for (const child of plan.children) {
    const identity = state.children[child.name]
    const alive = identity !== undefined && isAlive(identity)
    const trouble = alive ? await probe(child, child.name === 'redis' ? undefined : identity.pid) : 'not running'
    well &&= trouble === undefined
    const where = child.listens.map(({ what, where }) => `${where}  (${what})`)
    const pid = alive ? `pid ${identity.pid}` : ''
    say(`  ${child.name.padEnd(9)}${(trouble ?? 'ok').padEnd(4)} ${pid.padEnd(12)} ${where.join(', ')}`)
  }
  return well
}

/** Sends the sample mail to the wrapper; whether it was accepted. */
export async function sendSample(plan: PipelinePlan, file: string, say: Say): Promise<boolean> {
  if (plan.wrapper === undefined) {
    say('no wrapper runs here, so there is nowhere to send a sample to')
    return false
  }
  const [host, port] = splitHostPort(plan.wrapper)
  const transport = createTransport({ host, port, ignoreTLS: true, connectionTimeout: 5_000 })
  try {
    const sent = await transport.sendMail({
      envelope: { from: 'news@shop.example', to: ['alex@customer.example'] },
      raw: readFileSync(file),
    })
    say(`the wrapper at ${plan.wrapper} answered: ${sent.response}`)
    if (plan.console) say(`see it arrive at http://${plan.console}`)
    return true
  } catch (error) {
    say(`the sample was not accepted: ${(error as Error).message}`)
    return false
  } finally {
    transport.close()
  }
}

function splitHostPort(hostPort: string): [string, number] {
  const colon = hostPort.lastIndexOf(':')
  return [hostPort.slice(0, colon).replace(/^\[|\]$/g, ''), Number(hostPort.slice(colon + 1))]
}
