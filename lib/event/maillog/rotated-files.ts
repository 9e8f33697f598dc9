/** The files that a log was rotated into, by the names that logrotate, `postfix logrotate` and savelog give. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'

export interface RotatedFile {
  readonly path: string
  readonly modifiedMs: number
}

const compressedSuffix = '(?:\\.(?:gz|zst|xz|bz2))?'
const dateSuffix = '\\d{4}-?\\d\\d-?\\d\\d(?:[-_.T]?\\d{2,10})?'

/**
 * Whether `name` is a rotation of the log file `base`: `mail.log.1`, `mail.log.2.gz`, `mail.log-20260222`,
 * `maillog.20260222-132501.gz`, and with the date before the extension `mail-20260222.log`.
 */
export function isRotationOf(name: string, base: string): boolean {
  return rotationPattern(base).test(name)
}

function rotationPattern(base: string): RegExp {
  const extension = extname(base)
  const stem = base.slice(0, base.length - extension.length)
  const after = `${quote(base)}(?:\\.\\d{1,4}|[.-]${dateSuffix})`
  const within = `${quote(stem)}-(?:${dateSuffix}|\\d{1,4})${quote(extension)}`
  return new RegExp(`^(?:${after}${extension === '' ? '' : `|${within}`})${compressedSuffix}$`)
}

function quote(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)
}

/** The rotations of a log, oldest first, without the log itself. Empty when the folder can't be read. */
export async function rotatedFiles(path: string): Promise<RotatedFile[]> {
  const folder = dirname(path)
  const pattern = rotationPattern(basename(path))
  const names = await readdir(folder).catch(() => [])
  const found: RotatedFile[] = []
  for (const name of names) {
    if (!pattern.test(name)) continue
    const stats = await stat(join(folder, name)).catch(() => undefined)
    if (stats?.isFile()) found.push({ path: join(folder, name), modifiedMs: stats.mtimeMs })
  }
  // While logrotate compresses there are both, the plain one and the one that is being made of it.
  const plain = new Set(found.map(file => file.path))
  return found
    .filter(({ path: file }) => {
      const uncompressed = file.replace(/\.(?:gz|zst|xz|bz2)$/, '')
      return uncompressed === file || !plain.has(uncompressed)
    })
    .toSorted((a, b) => compareAge(a, b))
}

/** Numbers grow with age; dates fall; where one has a number and the other a date, the time of the last change tells. */
function compareAge(a: RotatedFile, b: RotatedFile): number {
  const [first, second] = [rotationNumber(a.path), rotationNumber(b.path)]
  if (first !== undefined && second !== undefined) return second - first
  return a.modifiedMs - b.modifiedMs || (a.path < b.path ? -1 : 1)
}

function rotationNumber(path: string): number | undefined {
  const number = /\.(\d{1,4})(?:\.(?:gz|zst|xz|bz2))?$/.exec(path)?.[1]
  return number === undefined ? undefined : Number(number)
}
