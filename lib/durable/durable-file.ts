/** Files that are whole or not there, whatever happens while they are written. */
import { dirname } from 'node:path'
import { fileSystem, type FileSystem } from './file-system.ts'

/**
 * Puts `bytes` at `path`, in place of what was there: written beside it, synced, renamed, folder synced. After a crash
 * at any moment there is either the old or the new content. One writer at a time per path.
 *
 * @param bytes what is large may come in parts, each asked for when the one before is written
 * @throws Error of the file system (ENOSPC, EACCES, EIO); the old content is then still there
 */
export async function writeFileDurably(
  path: string,
  bytes: string | Uint8Array | Generator<Uint8Array>,
  files: FileSystem = fileSystem,
): Promise<void> {
  const parts = typeof bytes === 'string' ? [Buffer.from(bytes)] : bytes instanceof Uint8Array ? [bytes] : bytes
  const beside = `${path}.tmp`
  try {
    const file = await files.open(beside, 'create')
    try {
      let length = 0
      for (const part of parts) {
        await file.write(part, length)
        length += part.length
      }
      const size = await file.size()
      if (size !== length) throw new Error(`${beside}: ${size} of ${length} bytes arrived`)
      await file.datasync()
    } finally {
      await file.close()
    }
    await files.rename(beside, path)
  } catch (error) {
    await files.unlink(beside).catch(() => undefined)
    throw error
  }
  await files.syncDirectory(dirname(path))
}
