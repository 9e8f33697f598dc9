/** One file of a segment log: its name, and what a scan finds in it. */
import { join } from 'node:path'
import { decodeRecord, recordHeaderBytes, type SegmentRecord } from './segment-record.ts'
import type { OpenFile } from './file-system.ts'

/** A segment as the log knows it. */
export interface Segment {
  readonly path: string
  /** The sequence in its name: that of its first record. */
  readonly firstSeq: number
  /** That of its last good record; firstSeq - 1 when it has none. */
  lastSeq: number
  /** Where its last good record ends. */
  bytes: number
}

const name = /^(\d{16})\.segment$/

export function segmentPath(dir: string, firstSeq: number): string {
  return join(dir, `${String(firstSeq).padStart(16, '0')}.segment`)
}

/** The sequence that a file name stands for; undefined for a file that is no segment. */
export function segmentFirstSeq(fileName: string): number | undefined {
  const seq = Number(name.exec(fileName)?.[1])
  return Number.isSafeInteger(seq) && seq > 0 ? seq : undefined
}

/** What lies behind the last good record of a segment. */
export type SegmentEnd =
  /** Nothing: the segment is whole. */
  | 'whole'
  /** The beginning of a record: a write was interrupted. */
  | 'torn'
  /** Nothing but zeros: a write was interrupted, or the disk lost what it had confirmed; nobody can tell. */
  | 'zeros'
  /** Bytes that no interrupted append leaves. */
  | 'damaged'

/** How far a scan came: behind the last record that it visited. */
export interface SegmentPlace {
  /** In bytes. */
  readonly offset: number
  /** Of the next record. */
  readonly seq: number
  readonly end: SegmentEnd
}

/** What a file is read into, in bytes; more only where a single record takes more. */
const scratchBytesMin = 64 << 10

/** One that has the file to itself for as long as it is read: its buffer is used again for each piece. */
export interface ScannedFile {
  readonly file: OpenFile
  /** Made by the first scan. */
  scratch?: Buffer
}

/**
 * Reads records from `offset` on, which must begin with the sequence `seq`, until `visit` gives false, `beforeSeq` is
 * reached or no further record is there.
 *
 * @param scanned not to be scanned twice at the same time
 * @param visit its record's payload is valid until it returns
 * @throws Error of the file system; damage is no error but an `end`
 */
export async function scanSegment(
  scanned: ScannedFile,
  offset: number,
  seq: number,
  beforeSeq: number,
  visit: (record: SegmentRecord) => boolean,
): Promise<SegmentPlace> {
  const { file } = scanned
  let scratch = (scanned.scratch ??= Buffer.allocUnsafeSlow(scratchBytesMin))
  let bytes = scratch.subarray(0, 0)
  let at = 0
  let isAtEnd = false
  const position = () => ({ offset, seq })
  while (seq < beforeSeq) {
    const payload = decodeRecord(bytes, at, seq)
    if (payload === 'damaged') return { ...position(), end: (await isZeros(file, offset)) ? 'zeros' : 'damaged' }
    if (payload === 'more') {
      const rest = bytes.subarray(at)
      if (isAtEnd) return { ...position(), end: rest.length === 0 ? 'whole' : 'torn' }
      if (rest.length === scratch.length) scratch = scanned.scratch = Buffer.allocUnsafeSlow(2 * scratch.length)
      scratch.set(rest)
      const length = await file.read(scratch.subarray(rest.length), offset + rest.length)
      isAtEnd = length === 0
      bytes = scratch.subarray(0, rest.length + length)
      at = 0
      continue
    }
    if (!visit({ seq, payload })) break
    const size = recordHeaderBytes + payload.length
    at += size
    offset += size
    seq++
  }
  return { ...position(), end: 'whole' }
}

async function isZeros(file: OpenFile, offset: number): Promise<boolean> {
  const bytes = Buffer.allocUnsafe(4 << 10)
  for (let at = offset; ;) {
    const length = await file.read(bytes, at)
    if (length === 0) return true
    if (bytes.subarray(0, length).some(byte => byte !== 0)) return false
    at += length
  }
}
