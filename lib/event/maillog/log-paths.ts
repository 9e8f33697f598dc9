/** What `--log-path` names: files, and globs that more files may match later. */
import { existsSync, globSync } from 'node:fs'
import { basename } from 'node:path'
import { isRotationOf } from './rotated-files.ts'

export interface LogPaths {
  /** What is there now, and files named without a glob. */
  readonly paths: readonly string[]
  readonly globs: readonly string[]
}

/** The settings' paths with their globs resolved, without rotations of one another. */
export function logPaths(settings: readonly string[]): LogPaths {
  const isGlob = (path: string) => /[*?[{]/.test(path) && !existsSync(path)
  const globs = settings.filter(isGlob)
  const found = [...settings.filter(path => !isGlob(path)), ...globs.flatMap(glob => globSync(glob).toSorted())]
  const paths = [...new Set(found)]
  return {
    globs,
    paths: paths.filter(path => !paths.some(other => other !== path && isRotationOf(basename(path), basename(other)))),
  }
}
