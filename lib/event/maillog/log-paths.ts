/** What `--log-path` names: files, and globs that more files may match later. */
import { existsSync, globSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { isRotationOf } from './rotated-files.ts'

export interface LogPaths {
  /** What is there now, and files named without a glob. */
  readonly paths: readonly string[]
  readonly globs: readonly string[]
}

/**
 * The settings' paths with their globs resolved, without rotations of one another.
 * @param known logs that may be away at the moment; a glob does not make logs of their rotations
 */
export function logPaths(settings: readonly string[], known: readonly string[] = []): LogPaths {
  const isGlob = (path: string) => /[*?[{]/.test(path) && !existsSync(path)
  const globs = settings.filter(isGlob)
  const named = settings.filter(path => !isGlob(path))
  const matched = globs.flatMap(glob => globSync(glob).toSorted())
  const found = [...new Set([...named, ...matched])]
  const logs = [...found, ...known]
  const isRotation = (path: string) =>
    (named.includes(path) ? found : logs).some(
      log => log !== path && dirname(log) === dirname(path) && isRotationOf(basename(path), basename(log)),
    )
  return { globs, paths: found.filter(path => !isRotation(path)) }
}
