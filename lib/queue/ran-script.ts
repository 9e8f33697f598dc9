/** Scripts in Redis, where they are allowed. */
import type { Redis } from 'ioredis'

/** Connections on which scripts have been refused. */
const scriptless = new WeakSet<Redis>()

/** What a script returned; undefined where scripts are forbidden. */
export function ranScript(
  redis: Redis,
  script: string,
  keys: readonly string[],
  values: readonly string[],
): Promise<{ readonly value: unknown } | undefined> {
  // EVAL, not EVALSHA: the text is short, and a server that was replaced does not know the script.
  return unlessForbidden(redis, () => redis.eval(script, keys.length, ...keys, ...values))
}

/**
 * The same for a script that is sent in another way.
 * @param send runs it; not called where scripts are known to be forbidden
 */
export async function unlessForbidden<Value>(
  redis: Redis,
  send: () => Promise<Value>,
): Promise<{ readonly value: Value } | undefined> {
  if (scriptless.has(redis)) return undefined
  try {
    return { value: await send() }
  } catch (error) {
    if (!/^(?:NOPERM|ERR unknown command)/.test((error as Error).message)) throw error
    scriptless.add(redis)
    return undefined
  }
}
