/** The files that an option names: what opens them must not wait. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/** How to open a file that may be a pipe, which would hold up the process until somebody writes to it. */
export const readNow = constants.O_RDONLY | constants.O_NONBLOCK

/**
 * What a file holds, whole. A pipe, a device or a folder holds nothing that could be read again on SIGHUP.
 * @param check looks at the file before it is read
 * @throws Error of the file system, with its `code`; for what is no regular file that says so. What `check` throws.
 */
export function readNamedFile(file: string, check?: (stats: Stats) => void): Buffer {
  const descriptor = openSync(file, readNow)
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) throw notRegular()
    check?.(stats)
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** That something is no regular file, in place of an error of the file system. */
export function notRegular(): NodeJS.ErrnoException {
  const text = 'not a regular file'
  return Object.assign(new Error(text), { code: text })
}
