/** Asks a process how it is. */
import { request } from 'undici'
import { createConnection } from 'node:net'
import type { ChildPlan } from './plan.ts'

const probeMsMax = 2_000

/** How a process is. */
export interface Condition {
  /** `degraded`: it works, as far as it can; what is wrong may be somebody else. */
  readonly state: 'ok' | 'degraded' | 'starting' | 'down'
  /** What is wrong, in a few words; absent when ok. */
  readonly trouble?: string
}

/** @param pid of the process that must be the one that answers; anyone's answer counts when undefined */
export async function probe(child: Pick<ChildPlan, 'name' | 'health'>, pid?: number): Promise<Condition> {
  return child.name === 'redis' ? probeRedis(child.health) : probeHttp(child.health, pid)
}

async function probeHttp(hostPort: string, pid: number | undefined): Promise<Condition> {
  try {
    const answer = await request(`http://${hostPort}/health`, {
      headersTimeout: probeMsMax,
      bodyTimeout: probeMsMax,
      signal: AbortSignal.timeout(probeMsMax),
    })
    const report = (await answer.body.json()) as { reasons?: Record<string, string>; pid?: number }
    if (pid !== undefined && report.pid !== pid) {
      return { state: 'down', trouble: `another process answers on ${hostPort}` }
    }
    if (answer.statusCode === 200) return { state: 'ok' }
    const reasons = report.reasons ?? {}
    return {
      state: reasons['start'] === undefined ? 'degraded' : 'starting',
      trouble: Object.entries(reasons)
        .map(([cause, reason]) => `${cause}: ${reason}`)
        .join('; '),
    }
  } catch {
    return { state: 'down', trouble: `does not answer on ${hostPort}` }
  }
}

function probeRedis(socketPath: string): Promise<Condition> {
  return new Promise(resolve => {
    const socket = createConnection(socketPath, () => socket.write('PING\r\n'))
    const settle = (condition: Condition) => {
      socket.destroy()
      resolve(condition)
    }
    const down = { state: 'down', trouble: `does not answer on ${socketPath}` } as const
    socket.setTimeout(probeMsMax, () => settle(down))
    socket.once('error', () => settle(down))
    // It ended before it could answer: no error, and nothing is timed any more.
    socket.once('close', () => settle(down))
    socket.once('data', answer => {
      const line = answer.toString('latin1').split('\r\n', 1)[0] ?? ''
      if (line === '+PONG') settle({ state: 'ok' })
      else if (line.startsWith('-LOADING')) settle({ state: 'starting', trouble: 'is loading its data' })
      // As when its disk is full: -MISCONF Errors writing to the AOF file.
      else settle({ state: 'degraded', trouble: line.slice(1) })
    })
  })
}
