/** Files that are whole or not there, whatever happens while they are written. */
import { dirname } from 'node:path'
import { fileSystem, type FileSystem } from './file-system.ts'

/**
 * Puts `bytes` at `path`, in place of what was there: written beside it, synced, renamed, folder synced. After a crash
 * at any moment there is either the old or the new content. One writer at a time per path.
 *
 * @throws Error of the file system (ENOSPC, EACCES, EIO); the old content is then still there
 */
export async function writeFileDurably(
  path: string,
  bytes: string | Uint8Array,
  files: FileSystem = fileSystem,
): Promise<void> {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  const beside = `${path}.tmp`
  try {
    const file = await files.open(beside, 'create')
    try {
      await file.write(content, 0)
      const size = await file.size()
      if (size !== content.length) throw new Error(`${beside}: ${size} of ${content.length} bytes arrived`)
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
