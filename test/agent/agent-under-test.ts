/** An agent process with a folder of its own, a log and a scripted endpoint. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startCustomSmtpEndpoint, type CustomSmtpEndpoint } from '../support/custom-smtp-endpoint.ts'
import { freePort, startProcess, until, type StartedProcess } from '../support/process.ts'
import { sized } from '../support/soak.ts'

export const root = new URL('../../', import.meta.url).pathname

export interface AgentUnderTest {
  readonly dir: string
  readonly logPath: string
  readonly stateDir: string
  readonly endpoint: CustomSmtpEndpoint
  /** Starts it, or starts it again, and waits until it follows its log. */
  start: (...more: string[]) => Promise<StartedProcess>
  /** The same without waiting. */
  spawn: (...more: string[]) => Promise<StartedProcess>
  readonly metricsPort: number
  health: () => Promise<{ status: string; reasons: Record<string, string> }>
  metric: (name: string) => Promise<number>
}

const startMsMax = sized(15_000, 60_000)

/** Everything ends with the test. */
export async function agentUnderTest(context: TestContext, ...options: string[]): Promise<AgentUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), 'agent-'))
  const logDir = join(dir, 'log')
  mkdirSync(logDir)
  const logPath = join(logDir, 'mail.log')
  const stateDir = join(dir, 'state')
  const endpoint = await startCustomSmtpEndpoint()
  const metricsPort = await freePort()
  const running: StartedProcess[] = []
  context.after(async () => {
    for (const agent of running) await agent.stop()
    await endpoint.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${metricsPort}`
  const spawn = async (...more: string[]) => {
    const agent = await startProcess(
      'node',
      [
        `${root}cmd/agent.ts`,
        `--log-path=${logPath}`,
        `--state-dir=${stateDir}`,
        `--endpoint=${endpoint.url}`,
        `--metrics-hostport=127.0.0.1:${metricsPort}`,
        '--batch-age=200ms',
        '--rotate-wait=300ms',
        '--log-timezone=UTC',
        ...options,
        ...more,
      ],
      { env: { SENDPOST_API_KEY: 'test-key', AGENT_CONFIG: undefined } },
    )
    running.push(agent)
    return agent
  }
  return {
    dir,
    logPath,
    stateDir,
    endpoint,
    metricsPort,
    spawn,
    start: async (...more) => {
      const agent = await spawn(...more)
      const follows = () => agent.output.stdout.includes('following the log')
      await until('the agent to follow its log', follows, startMsMax).catch((error: unknown) => {
        const { stdout, stderr } = agent.output
        throw new Error(`the agent (exit code ${agent.child.exitCode}) said: ${stdout}${stderr}`, { cause: error })
      })
      return agent
    },
    health: async () => (await (await fetch(`${url}/health`)).json()) as never,
    metric: async name => {
      const text = await (await fetch(`${url}/metrics`)).text()
      return Number(new RegExp(`^${name.replaceAll(/[{}"]/g, String.raw`\$&`)} (.+)$`, 'm').exec(text)?.[1])
    },
  }
}

/** A UUID for each number. */
export function uuidOf(number: number): string {
  const hex = createHash('sha256').update(String(number)).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

/** The lines that Postfix writes about one message that is delivered at once. */
export function deliveryLines(number: number, atMs = Date.now()): string {
  const queueId = (0xa_0000_0000 + number).toString(16).toUpperCase()
  const stamp = new Date(atMs).toISOString().replace('Z', '000+00:00')
  const line = (program: string, text: string) => `${stamp} mx1 postfix/${program}[77]: ${queueId}: ${text}\n`
  return [
    line('smtpd', 'client=localhost[127.0.0.1]'),
    line('cleanup', `message-id=<${uuidOf(number)}@app.example>`),
    line('qmgr', 'from=<news@app.example>, size=1000, nrcpt=1 (queue active)'),
    line(
      'smtp',
      `to=<r${number}@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.1, delays=0/0/0.05/0.05, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as ${number})`,
    ),
    line('qmgr', 'removed'),
  ].join('')
}

/** The messages 0 … count - 1 that the endpoint has not taken over. */
export function missing(endpoint: CustomSmtpEndpoint, count: number): number[] {
  const numbers = Array.from({ length: count }, (_, number) => number)
  return numbers.filter(number => !endpoint.ledger.has(uuidOf(number)))
}
