/** What a start makes of the files of a segment log, whatever state they are in. */
import { dirname, join } from 'node:path'
import { StartError } from '../process/start-error.ts'
import { isNoFile, type FileSystem, type OpenFile } from './file-system.ts'
import { scanSegment, segmentFirstSeq, segmentPath, type Segment } from './segment.ts'

/** Records that could not be read back. */
export interface Damage {
  /** The file that was damaged. */
  readonly file: string
  readonly reason: string
  /** How many records are missing; undefined where that can't be known. */
  readonly recordsMissing: number | undefined
  /** Where the damaged bytes were kept, for people. */
  readonly savedAs: string | undefined
}

/** Copies of damaged bytes that are kept, newest first. */
const corruptFilesMax = 8
/** As after a power failure. */
const endsInZeros = 'ends in zeros: a write was interrupted, or the disk lost what it had confirmed'
/** Most that is copied of a damaged file, in bytes. */
const savedBytesMax = 8 << 20

/**
 * The segments that hold records behind `releasedSeq`, in order, cut back to what is good in them. Files of which
 * nothing is needed are removed, what is damaged is kept aside and reported.
 * @throws {StartError} when the folder or a file can't be read: that may pass, and what is in it is not given up for it
 */
export async function recoverSegments(
  dir: string,
  releasedSeq: number,
  files: FileSystem,
  onDamage: (damage: Damage) => void,
): Promise<Segment[]> {
  const names = await files.list(dir).catch((error: unknown) => {
    throw new StartError(`${dir} can't be listed (${reasonOf(error)}): check its owner and the disk, then start again`)
  })
  const found = names
    .map(segmentFirstSeq)
    .filter(seq => seq !== undefined)
    .toSorted((a, b) => a - b)
  const segments: Segment[] = []
  for (const [index, firstSeq] of found.entries()) {
    const nextSeq = found[index + 1]
    const path = segmentPath(dir, firstSeq)
    if (nextSeq !== undefined && nextSeq - 1 <= releasedSeq) {
      await files.unlink(path).catch(() => undefined)
      continue
    }
    const segment = { path, firstSeq, lastSeq: firstSeq - 1, bytes: 0 }
    await recoverSegment(segment, nextSeq, files, onDamage)
    if (segment.bytes > 0) segments.push(segment)
  }
  await removeOldCorrupt(dir, names, files)
  return segments
}

/** @param nextSeq that of the segment behind it; undefined for the last */
async function recoverSegment(
  segment: Segment,
  nextSeq: number | undefined,
  files: FileSystem,
  onDamage: (damage: Damage) => void,
): Promise<void> {
  const isLast = nextSeq === undefined
  // What a later segment has under the same sequence counts: the records here were refused, or written there again.
  const beforeSeq = nextSeq ?? Number.MAX_SAFE_INTEGER
  const report = (reason: string, savedAs: string | undefined) => {
    const recordsMissing = nextSeq === undefined ? undefined : nextSeq - 1 - segment.lastSeq
    onDamage({ file: segment.path, reason, recordsMissing, savedAs })
  }
  let file
  try {
    file = await files.open(segment.path, 'update')
    const { offset, seq, end } = await scanSegment({ file }, 0, segment.firstSeq, beforeSeq, () => true)
    segment.bytes = offset
    segment.lastSeq = seq - 1
    const isShort = seq < beforeSeq
    if (isShort && end !== 'whole') {
      // A write that was torn at the end of the last segment was never acknowledged: nothing is missing.
      if (end === 'zeros') report(isLast ? endsInZeros : 'ends in zeros', undefined)
      else if (!isLast || end === 'damaged') {
        const reason = end === 'torn' ? 'ends in the middle of a record' : 'a record is damaged'
        report(reason, await saveRest(segment.path, offset, files))
      }
      await cut(file, offset)
    } else if (isShort && !isLast) report('its end is missing', undefined)
  } catch (error) {
    if (!isNoFile(error)) {
      throw new StartError(
        `${segment.path} can't be read (${reasonOf(error)}): mend that and start again, or move the file away to go on without what is in it`,
      )
    }
    report(`is no file (${reasonOf(error)})`, await setAside(segment, files))
    return
  } finally {
    await file?.close().catch(() => undefined)
  }
  if (segment.bytes === 0) await files.unlink(segment.path).catch(() => undefined)
}

/** Where this fails nothing is lost: what is behind the good records is never read, for a later segment begins there. */
async function cut(file: OpenFile, length: number): Promise<void> {
  try {
    await file.truncate(length)
    await file.datasync()
  } catch {
    // The next start tries again.
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}

/**
 * Keeps what follows the last good record, up to `offset`, in a file of its own.
 * @returns its path; undefined where that could not be done
 */
export async function saveRest(path: string, offset: number, files: FileSystem): Promise<string | undefined> {
  const savedAs = `${path}.corrupt-${offset}`
  try {
    const rest = await readRest(path, offset, files)
    const copy = await files.open(savedAs, 'create')
    try {
      await copy.write(rest, 0)
    } finally {
      await copy.close()
    }
    await removeOldCorrupt(dirname(path), await files.list(dirname(path)), files)
    return savedAs
  } catch {
    await files.unlink(savedAs).catch(() => undefined)
    return undefined
  }
}

async function readRest(path: string, offset: number, files: FileSystem): Promise<Buffer> {
  const file = await files.open(path, 'read')
  try {
    const rest = Buffer.alloc(Math.max(0, Math.min((await file.size()) - offset, savedBytesMax)))
    return rest.subarray(0, await file.read(rest, offset))
  } finally {
    await file.close()
  }
}

/** Takes out of the way what bears the name of a segment and is none. */
async function setAside(segment: Segment, files: FileSystem): Promise<string | undefined> {
  const savedAs = `${segment.path}.corrupt-0`
  return files.rename(segment.path, savedAs).then(
    () => savedAs,
    () => undefined,
  )
}

async function removeOldCorrupt(dir: string, names: readonly string[], files: FileSystem): Promise<void> {
  const corrupt = names.filter(name => name.includes('.segment.corrupt-')).toSorted()
  for (const name of corrupt.slice(0, -corruptFilesMax)) await files.unlink(join(dir, name)).catch(() => undefined)
}
