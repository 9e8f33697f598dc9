import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it that are not there. Node's own `recursive` tries for ever where a folder is there but
 * takes no others, as /proc (Node 26).
 * @param mode of each that is made, before the umask
 * @throws Error with the `code` of mkdir(2)
 */
export function makeFolder(dir: string, mode = 0o777): void {
  if (isMade(dir, mode)) return
  const above = dirname(dir)
  if (above !== dir) makeFolder(above, mode)
  if (!isMade(dir, mode)) mkdirSync(dir, { mode })
}

/** False when one above it is not there. */
function isMade(dir: string, mode: number): boolean {
  try {
    mkdirSync(dir, { mode })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || (code === 'EEXIST' && statSync(dir).isDirectory())) return code === 'EEXIST'
    throw error
  }
}
