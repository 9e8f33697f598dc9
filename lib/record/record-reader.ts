/**
 * Reads the texts of records, of which none is larger than any record. MGET is the cheapest way and bounds nothing. So it is
 * used until an answer was larger than records can be, whatever else lies under their keys; from then on Redis gives of each
 * value no more than fits, at four times the CPU on its side.
 */
import type { Logger } from '../process/log.ts'
import { AnswerLimit } from '../queue/answer-limit.ts'
import { repliesOf } from '../queue/grouped-write.ts'
import type { PartitionedRedis } from '../queue/partitioned-redis.ts'
import { ranScript } from '../queue/ran-script.ts'
import { isWrongType } from '../queue/redis.ts'
import { recordCharsMax } from './record.ts'

/** Most that one MGET may bring, in bytes: ten times what the records of a thousand messages take. */
const answerBytesMax = 8_000_000
/** Values of more bytes have more than `recordCharsMax` characters, in whatever script: three bytes each at most. */
const valueBytesMax = 3 * recordCharsMax
/** How often it is looked whether a connection is there again, in milliseconds. */
const lookMs = 20

// What is of another type counts as missing, as with MGET.
const readScript = `
  local values = {}
  for i = 1, #KEYS do
    local value = redis.pcall('GETRANGE', KEYS[i], 0, ARGV[1])
    values[i] = type(value) == 'string' and #value <= tonumber(ARGV[1]) and value
  end
  return values`

export class RecordReader {
  readonly #connection: PartitionedRedis
  readonly #log: Logger
  #limit: AnswerLimit | undefined
  #isTold = false

  constructor(connection: PartitionedRedis, log: Logger) {
    this.#connection = connection
    this.#log = log
  }

  /**
   * What each of these keys of one partition holds; null or an empty text for one that holds nothing, something of another
   * type or more than a record.
   * @param waitMs longest wait for an answer
   * @throws Error when Redis does not answer
   */
  async read(keys: readonly string[], waitMs: number): Promise<readonly (string | null)[]> {
    // First made here: whoever only writes needs none.
    const limit = (this.#limit ??= new AnswerLimit(this.#connection.redis, answerBytesMax))
    if (limit.isPassed) return this.#readWithCare(keys, waitMs)
    try {
      return await limit.during(() => this.#connection.answer(this.#connection.redis.mget([...keys]), waitMs))
    } catch (error) {
      if (!limit.isPassed) throw error
      if (!this.#isTold) this.#log.warn('keys of records hold more than records can: it is not read')
      this.#isTold = true
      return this.#readWithCare(keys, waitMs)
    }
  }

  async #readWithCare(keys: readonly string[], waitMs: number): Promise<readonly (string | null)[]> {
    const { redis } = this.#connection
    // The connection was cut a moment ago.
    const deadline = performance.now() + waitMs
    while (!this.#connection.isUsable && performance.now() < deadline) {
      await new Promise(resolve => setTimeout(resolve, lookMs))
    }
    const read = async () => {
      const result = await ranScript(redis, readScript, keys, [String(valueBytesMax)])
      if (result) return result.value as (string | null)[]
      const pipeline = redis.pipeline()
      for (const key of keys) pipeline.getrange(key, 0, valueBytesMax)
      const replies = (await pipeline.exec()) ?? []
      return repliesOf(replies.map(reply => (isWrongType(reply[0]) ? [null, null] : reply))) as (string | null)[]
    }
    return this.#connection.answer(read(), waitMs)
  }
}
