/** What a file holds, whole. */
import type { OpenFile } from './file-system.ts'

/**
 * Reads a file from its beginning.
 * @param bytesMax what is behind it is left out
 * @throws Error of the file system
 */
export async function fileContent(file: OpenFile, bytesMax: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.min(await file.size(), bytesMax))
  let length = 0
  while (length < bytes.length) {
    const read = await file.read(bytes.subarray(length), length)
    if (read === 0) break
    length += read
  }
  return bytes.subarray(0, length)
}
