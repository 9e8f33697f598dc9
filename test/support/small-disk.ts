/** A disk that can be filled to its last byte: a file system of its own, which only root can mount. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly dir: string
  /** Takes all space that is left, as another program might, but for so many bytes. */
  fill: (leftBytes?: number) => void
  /** Gives back all that `fill` took. */
  free: () => void
  unmount: () => void
}

/**
 * Mounts one.
 * @param kind `tmpfs` is memory; `ext4` lies in a file and counts its own blocks and journal
 * @returns the reason, for the test to be skipped with, where mounting is not possible
 */
export function smallDisk(kind: 'ext4' | 'tmpfs', bytes: number): SmallDisk | string {
  const base = mkdtempSync(join(tmpdir(), 'small-disk-'))
  const dir = join(base, 'mnt')
  mkdirSync(dir)
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'pipe' })
  try {
    if (kind === 'tmpfs') run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir)
    else {
      const image = join(base, 'image')
      closeSync(openSync(image, 'w'))
      truncateSync(image, bytes)
      run('mkfs.ext4', '-q', '-F', '-m', '0', image)
      run('mount', '-o', 'loop', image, dir)
    }
  } catch (error) {
    rmSync(base, { recursive: true })
    return `${kind} can not be mounted here, which needs root: ${(error as Error).message.split('\n')[0]}`
  }
  const filler = join(dir, 'filler')
  return {
    dir,
    fill: (leftBytes = 0) => {
      const file = openSync(filler, 'a')
      for (const size of [1 << 16, 1 << 12, 1]) writeAll(file, Buffer.alloc(size))
      if (leftBytes > 0) ftruncateSync(file, Math.max(0, fstatSync(file).size - leftBytes))
      closeSync(file)
    },
    free: () => rmSync(filler, { force: true }),
    unmount: () => {
      run('umount', dir)
      rmSync(base, { recursive: true })
    },
  }
}

function writeAll(file: number, bytes: Buffer): void {
  try {
    while (writeSync(file, bytes) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
