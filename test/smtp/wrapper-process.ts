/** The wrapper as a process of its own, on a free port of 127.0.0.1. */
import { freePort, startProcess, waitForPort, type StartedProcess } from '../support/process.ts'

export const wrapperProgram = new URL('../../cmd/wrapper.ts', import.meta.url).pathname

export interface WrapperProcess extends StartedProcess {
  readonly port: number
}

/** Options of one that tracks nothing and finds no Redis, for what is neither about tracking nor about records. */
export const untracked = ['--no-track-open', '--no-track-click', '--redis-url', 'unix:///nonexistent/redis']

/** Starts it before an upstream on 127.0.0.1 and waits until it listens. */
export async function startWrapper(upstreamPort: number, options: readonly string[]): Promise<WrapperProcess> {
  const port = await freePort()
  const own = ['--in-hostport', `127.0.0.1:${port}`, '--out-hostport', `127.0.0.1:${upstreamPort}`]
  const wrapper = await startProcess('node', [wrapperProgram, ...own, ...options])
  const ended = wrapper.exited.then(() => {
    throw new Error(`the wrapper did not start: ${wrapper.output.stdout}${wrapper.output.stderr}`)
  })
  await Promise.race([waitForPort(port, '127.0.0.1', 30_000), ended])
  ended.catch(() => undefined)
  return { ...wrapper, port }
}
