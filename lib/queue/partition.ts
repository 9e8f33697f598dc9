/**
 * How the keys in Redis are laid out. Everything that is looked up by message lives in one partition, named by a hash tag,
 * so that commands with several keys stay within one slot of a Redis Cluster.
 */
import { crc32 } from 'node:zlib'

/** The consumer group of the feeders. */
export const consumerGroup = 'feeder'

/** Holds the number of partitions, set by the first process that ever used this Redis and followed by all. */
export const partitionsKey = 'mta:partitions'

export interface PartitionKeys {
  /** Stream of events waiting for the feeder. */
  readonly events: string
  /** Prefix of the records that the wrapper writes. */
  readonly wrapperRecord: string
  /** Prefix of the records that acct_etl writes. */
  readonly accountingRecord: string
  /** Prefix of marks that something was seen before. */
  readonly seen: string
}

/** The partition of a message, 0 … partitions - 1. */
export function partitionOf(messageId: string, partitions: number): number {
  return crc32(messageId) % partitions
}

export function partitionKeys(partition: number): PartitionKeys {
  const cached = layouts[partition]
  if (cached) return cached
  const tag = `mta:{${partition}}`
  const keys = {
    events: `${tag}:events`,
    wrapperRecord: `${tag}:w:`,
    accountingRecord: `${tag}:a:`,
    seen: `${tag}:seen:`,
  }
  layouts[partition] = keys
  return keys
}

const layouts: PartitionKeys[] = []
