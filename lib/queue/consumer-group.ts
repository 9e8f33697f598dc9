/** The consumer group of a partition's stream. */
import type { Redis } from 'ioredis'
import { consumerGroup, partitionKeys } from './partition.ts'
import { answered, isWrongType } from './redis.ts'

/**
 * Makes stream and group where they are not; the group begins with the first entry, for none was ever consumed.
 * Producers do so too: a Redis that is full refuses to make a group, and could then never be drained.
 * @throws Error when Redis refuses or does not answer
 */
export async function createGroup(redis: Redis, partition: number): Promise<void> {
  try {
    await answered(redis.xgroup('CREATE', partitionKeys(partition).events, consumerGroup, '0', 'MKSTREAM'), 2_000)
  } catch (error) {
    if (!(error as Error).message.startsWith('BUSYGROUP')) throw error
  }
}

/** Whether stream or group are not there (any more), as after FLUSHALL or where somebody has set the key to something else. */
export function isNoGroup(error: unknown): boolean {
  return isWrongType(error) || /^(?:NOGROUP|UNBLOCKED)/.test((error as Error).message)
}
