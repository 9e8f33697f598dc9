/**
 * Many writes to one partition as one command: a Lua script, because a command a write costs this process several times
 * as much CPU, and Redis more too (bench/queue.ts). All of a group is written or nothing.
 *
 * Where scripts are forbidden (ACL, renamed command) the same is done with a pipeline, which may stop half-way.
 */
import type { Redis } from 'ioredis'
import { appendedBy, sendAppend } from './append-command.ts'
import { ranScript, unlessForbidden } from './ran-script.ts'
import type { Piece } from './slabs.ts'

const storeScript = `for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end return #KEYS`

/**
 * Appends entries to the stream of a partition, each as its field `e`; nothing is ever trimmed.
 * @param command what `makeAppend` made for this stream; not to be released when this fails
 * @returns Redis's id of the last
 * @throws Error when not all were confirmed; some may have been written then
 */
export async function appendEntries(redis: Redis, stream: string, command: Piece): Promise<string> {
  const result = await unlessForbidden(redis, () => sendAppend(redis, command))
  if (result) return result.value
  const pipeline = redis.pipeline()
  for (const entry of appendedBy(command)) pipeline.xadd(stream, '*', 'e', entry)
  return String(repliesOf(await pipeline.exec()).at(-1))
}

/**
 * Sets keys of one partition, all to live as long.
 * @throws Error when not all were confirmed; some may have been written then
 */
export async function setWithExpiry(
  redis: Redis,
  keys: readonly string[],
  values: readonly string[],
  ttlSeconds: number,
): Promise<void> {
  if (await ranScript(redis, storeScript, keys, [String(ttlSeconds), ...values])) return
  const pipeline = redis.pipeline()
  for (const [index, key] of keys.entries()) pipeline.set(key, values[index]!, 'EX', ttlSeconds)
  repliesOf(await pipeline.exec())
}

/**
 * What each command of a pipeline was answered.
 * @throws Error of the first that failed
 */
export function repliesOf(replies: readonly [Error | null, unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, reply]) => {
    if (error) throw error
    return reply
  })
}
