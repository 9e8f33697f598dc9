/** A program that did its work while starting: nothing is left to stop. */
import type { Running } from '../process/run.ts'

export function finished(): Running {
  return { done: Promise.resolve(), close: async () => undefined }
}
