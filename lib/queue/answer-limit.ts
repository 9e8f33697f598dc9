/**
 * Bounds what arrives on a connection while something is read. Redis bounds few answers by their size, and anybody may have
 * put half a gigabyte under a key: a connection on which more comes is cut, for Redis would go on sending.
 */
import type { Redis } from 'ioredis'
import { reconnect } from './redis.ts'

export class AnswerLimit {
  /** Whether more has come than may, ever. */
  isPassed = false
  /** Since the last answer, or since something is read: answers come one after the other. */
  #bytes = 0
  #readings = 0

  /** @param bytesMax of one answer */
  constructor(redis: Redis, bytesMax: number) {
    const watch = () =>
      redis.stream.on('data', (bytes: Buffer) => {
        this.#bytes += bytes.length
        if (this.#readings === 0 || this.#bytes <= bytesMax) return
        this.isPassed = true
        reconnect(redis, `an answer of more than ${bytesMax} bytes`)
      })
    redis.on('connect', watch)
    if (redis.status === 'connect' || redis.status === 'ready') watch()
  }

  /** The same as `read` gives; what arrives meanwhile is bounded. */
  async during<T>(read: () => Promise<T>): Promise<T> {
    if (this.#readings++ === 0) this.#bytes = 0
    try {
      return await read()
    } finally {
      this.#readings--
      // What is read next may have been asked already: without this nothing would ever be forgotten of a busy connection.
      this.#bytes = 0
    }
  }
}
