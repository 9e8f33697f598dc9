/** Something that happened once, in the health of a process. */
import type { Health } from '../../process/health.ts'

/** How long health keeps naming it, ms. */
const troubleKeptMs = 3_600_000

/** Keeps a cause in health for an hour after it was named last. */
export function passingTrouble(health: Health, cause: string): (trouble: string) => void {
  let timer: NodeJS.Timeout | undefined
  return trouble => {
    health.set(cause, trouble)
    clearTimeout(timer)
    timer = setTimeout(() => health.set(cause, undefined), troubleKeptMs).unref()
  }
}
