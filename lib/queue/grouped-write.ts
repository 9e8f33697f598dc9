/**
 * Many writes to one partition as one command: a Lua script, because a command a write costs this process several times
 * as much CPU, and Redis more too (bench/queue.ts). All of a group is written or nothing.
 *
 * Where scripts are forbidden (ACL, renamed command) the same is done with a pipeline, which may stop half-way.
 */
import type { Redis } from 'ioredis'

const appendScript = `for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end return #ARGV`
const storeScript = `for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end return #KEYS`

/** Connections on which scripts have been refused. */
const scriptless = new WeakSet<Redis>()

/**
 * Appends entries to the stream of a partition, each as its field `e`; nothing is ever trimmed.
 * @throws Error when not all were confirmed; some may have been written then
 */
export async function appendEntries(redis: Redis, stream: string, entries: readonly string[]): Promise<void> {
  if (await ranScript(redis, appendScript, [stream], entries)) return
  const pipeline = redis.pipeline()
  for (const entry of entries) pipeline.xadd(stream, '*', 'e', entry)
  throwFirst(await pipeline.exec())
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
  throwFirst(await pipeline.exec())
}

async function ranScript(
  redis: Redis,
  script: string,
  keys: readonly string[],
  values: readonly string[],
): Promise<boolean> {
  if (scriptless.has(redis)) return false
  try {
    // EVAL, not EVALSHA: the text is short, and a server that was replaced does not know the script.
    await redis.eval(script, keys.length, ...keys, ...values)
    return true
  } catch (error) {
    if (!/^(?:NOPERM|ERR unknown command)/.test((error as Error).message)) throw error
    scriptless.add(redis)
    return false
  }
}

function throwFirst(replies: readonly [Error | null, unknown][] | null): void {
  const error = replies?.find(([error]) => error)?.[0]
  if (error) throw error
}
