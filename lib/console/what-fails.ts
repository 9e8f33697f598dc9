/** Whether a database that is in trouble can still be read. */
import type { Archive } from './archive.ts'

/** What is to be mended when something that reads and writes has failed: where nothing can be read, that comes first. */
export function whatFails(archive: Pick<Archive, 'call'>): Promise<'store' | 'read'> {
  return archive.call('counts').then(
    () => 'store',
    () => 'read',
  )
}
