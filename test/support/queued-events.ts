/** What waits in the queue, seen from outside. */
import type { Redis } from 'ioredis'
import type { EngagementEvent, TrackingEvent } from '../../lib/event/event.ts'
import { partitionKeys, partitionsKey } from '../../lib/queue/partition.ts'

/** All events in the streams, by partition and age; none when Redis was never used. */
export async function queuedEvents(redis: Redis): Promise<TrackingEvent[]> {
  const partitions = Number((await redis.get(partitionsKey)) ?? 0)
  const entries = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => redis.xrange(partitionKeys(partition).events, '-', '+')),
  )
  return entries.flat().map(([, fields]) => JSON.parse(fields[1] ?? '') as TrackingEvent)
}

/** Those that the tracker made. */
export async function queuedEngagements(redis: Redis): Promise<EngagementEvent[]> {
  return (await queuedEvents(redis)) as EngagementEvent[]
}
