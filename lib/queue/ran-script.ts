/** Scripts in Redis, where they are allowed. */
import type { Redis } from 'ioredis'

/** Connections on which scripts have been refused. */
const scriptless = new WeakSet<Redis>()

/** What a script returned; undefined where scripts are forbidden. */
export async function ranScript(
  redis: Redis,
  script: string,
  keys: readonly string[],
  values: readonly string[],
): Promise<{ readonly value: unknown } | undefined> {
  if (scriptless.has(redis)) return undefined
  try {
    // EVAL, not EVALSHA: the text is short, and a server that was replaced does not know the script.
    return { value: await redis.eval(script, keys.length, ...keys, ...values) }
  } catch (error) {
    if (!/^(?:NOPERM|ERR unknown command)/.test((error as Error).message)) throw error
    scriptless.add(redis)
    return undefined
  }
}
