/** Asks a process how it is. */
import { request } from 'undici'
import { createConnection } from 'node:net'
import type { ChildPlan } from './plan.ts'

const probeMsMax = 2_000

/**
 * Undefined when it is well; else what is wrong, in a few words.
 * @param pid of the process that must be the one that answers; anyone's answer counts when undefined
 */
export async function probe(child: ChildPlan, pid?: number): Promise<string | undefined> {
  return child.name === 'redis' ? probeRedis(child.health) : probeHttp(child.health, pid)
}

async function probeHttp(hostPort: string, pid: number | undefined): Promise<string | undefined> {
  try {
    const answer = await request(`http://${hostPort}/health`, {
      headersTimeout: probeMsMax,
      bodyTimeout: probeMsMax,
      signal: AbortSignal.timeout(probeMsMax),
    })
    const report = (await answer.body.json()) as { reasons?: Record<string, string>; pid?: number }
    if (pid !== undefined && report.pid !== pid) return `another process answers on ${hostPort}`
    if (answer.statusCode === 200) return undefined
    return Object.entries(report.reasons ?? {})
      .map(([cause, reason]) => `${cause}: ${reason}`)
      .join('; ')
  } catch {
    return 'does not answer'
  }
}

function probeRedis(socketPath: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = createConnection(socketPath, () => socket.write('PING\r\n'))
    const settle = (trouble: string | undefined) => {
      socket.destroy()
      resolve(trouble)
    }
    socket.setTimeout(probeMsMax, () => settle('does not answer'))
    socket.once('error', () => settle('does not answer'))
    // While it loads its append-only file it answers -LOADING.
    socket.once('data', answer =>
      settle(answer.toString('latin1').startsWith('+PONG') ? undefined : 'is loading its data'),
    )
  })
}
