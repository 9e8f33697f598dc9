/** Runs the independent judge of wrapped mails, which lives outside of the repository, where it is there. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export const corpora = resolve(import.meta.dirname, '../../../shared/corpora')
const check = join(corpora, 'check.py')

/** Why the judge can't be asked; undefined when it can. */
export const missing = !existsSync(check)
  ? 'no corpus beside the repository'
  : spawnSync('python3', ['--version']).status === 0
    ? undefined
    : 'no python3'

export interface Verdict {
  readonly file: string
  /** `OK`, or what is wrong. */
  readonly verdict: string
}

/** Copies a corpus as SMTP would carry it. */
export function prepare(from: string, to: string): void {
  execFileSync('python3', [check, 'prep', from, to])
}

export function judge(
  mode: 'on' | 'off' | 'html',
  before: string,
  after: string,
  list: string,
  ...options: string[]
): Verdict[] {
  // Its exit code says whether all was OK; the list says what was not.
  spawnSync('python3', [check, mode, before, after, '--list', list, ...options], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  return readFileSync(list, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => ({ file: line.slice(0, line.indexOf('\t')), verdict: line.slice(line.indexOf('\t') + 1) }))
}

/** Writes for each file of a folder what `change` makes of it, under the same name. */
export function changeAll(pattern: string, from: string, to: string, change: (bytes: Buffer) => Buffer): void {
  for (const file of globSync(pattern, { cwd: from })) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    writeFileSync(join(to, file), change(readFileSync(join(from, file))))
  }
}
