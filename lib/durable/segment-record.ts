/**
 * The records of a segment, as bytes: `[u32 length][u32 CRC-32 of sequence and payload][u64 sequence][payload]`, all
 * big-endian, one after the other without padding. Within a segment the sequence rises by one.
 */
import { crc32 } from 'node:zlib'

export interface SegmentRecord {
  readonly seq: number
  readonly payload: Buffer
}

/** Bytes that a record takes beyond its payload. */
export const recordHeaderBytes = 16

/** Longest payload of a record, in bytes; a longer length in a file is damage. */
export const payloadBytesMax = 1 << 20

/**
 * Writes a record into `target` and gives the offset behind it.
 * @param payload 1 to `payloadBytesMax` bytes
 */
export function encodeRecord(target: Buffer, offset: number, seq: number, payload: Uint8Array): number {
  const end = offset + recordHeaderBytes + payload.length
  target.writeUInt32BE(payload.length, offset)
  target.writeUInt32BE(Math.floor(seq / 2 ** 32), offset + 8)
  target.writeUInt32BE(seq % 2 ** 32, offset + 12)
  target.set(payload, offset + recordHeaderBytes)
  target.writeUInt32BE(crc32(target.subarray(offset + 8, end)), offset + 4)
  return end
}

/**
 * The record at `offset`, which must bear the sequence `seq`.
 *
 * @returns the payload (a view, not a copy); 'more' when the bytes end before the record does; 'damaged' when no such
 *   record can be there
 */
export function decodeRecord(bytes: Buffer, offset: number, seq: number): Buffer | 'more' | 'damaged' {
  if (bytes.length < offset + recordHeaderBytes) return 'more'
  const length = bytes.readUInt32BE(offset)
  if (length === 0 || length > payloadBytesMax) return 'damaged'
  const end = offset + recordHeaderBytes + length
  if (bytes.length < end) return 'more'
  if (bytes.readUInt32BE(offset + 8) * 2 ** 32 + bytes.readUInt32BE(offset + 12) !== seq) return 'damaged'
  if (crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32BE(offset + 4)) return 'damaged'
  return bytes.subarray(offset + recordHeaderBytes, end)
}
