/** `linktool wrap`: what the wrapper would send upstream, for files. */
import { readdirSync, realpathSync, statSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { makeFolder } from '../process/make-folder.ts'
import { option, path, type OptionTable } from '../process/option.ts'
import { type RunnableProgram } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { SettingsError } from '../process/settings.ts'
import { type LinkMaker, signedLinks, type TrackingSettings } from '../message/tracking/tracking-settings.ts'
import type { WrapReport } from '../message/tracking/wrap-report.ts'
import { finished } from './finished.ts'
import { readStandardInput } from './standard-input.ts'
import { loadKeys, trackingOptions, validateTracking } from './tracking-options.ts'
import { withLineEnds, wrapMessage } from './wrapping.ts'

const options = {
  ...trackingOptions,
  'in-dir': option(path, { help: 'Folder of messages, a file each, subfolders included; standard input otherwise.' }),
  'out-dir': option(path, {
    help: 'Folder that gets the wrapped messages under the same relative names; standard output otherwise.',
  }),
} satisfies OptionTable

export const wrapProgram: RunnableProgram<typeof options> = {
  name: 'linktool',
  borrowsFrom: 'wrapper',
  manual: `
Shows what the wrapper would send upstream: reads messages, stamps them, wraps their links and adds pixels, with the
wrapper's own code and options.

  linktool wrap --tracking-url https://track.example.com --link-keys FILE < message > message
  linktool wrap --in-dir DIR --out-dir DIR --tracking-url https://track.example.com --link-keys FILE

Lines end with CRLF, in and out; a bare LF becomes CRLF and a bare CR a space, as in the wrapper. A message that can't
be wrapped comes out as it went in. What was done is summed up on standard error. Exit code 1 when a file could not be
read or written.
`,
  options,
  validate: settings => {
    validateTracking(settings)
    const { inDir, outDir } = settings
    if ((inDir === undefined) !== (outDir === undefined))
      throw new SettingsError(
        '--in-dir and --out-dir belong together: give both, or none for standard input and output',
      )
    if (inDir === undefined || outDir === undefined) return
    if (`${resolve(outDir)}${sep}`.startsWith(`${resolve(inDir)}${sep}`))
      throw new SettingsError('--out-dir must be outside of --in-dir')
  },
  start: async ({ settings, stopping }) => {
    const keys = loadKeys(settings.linkKeys)
    const makeLink = keys && signedLinks(settings.trackingUrl ?? '', keys)
    const sum = new Sum()
    if (settings.inDir === undefined || settings.outDir === undefined)
      await wrapStream(settings, makeLink, sum, stopping)
    else await wrapFolder(settings.inDir, settings.outDir, settings, makeLink, sum, stopping)
    process.stderr.write(`linktool: ${sum.text()}\n`)
    return finished()
  },
}

async function wrapStream(
  settings: TrackingSettings,
  makeLink: LinkMaker | undefined,
  sum: Sum,
  stopping: AbortSignal,
): Promise<void> {
  const { pieces, report } = wrapMessage(withLineEnds(await readStandardInput(stopping)), settings, makeLink)
  sum.add(report)
  await new Promise<void>(done => process.stdout.write(Buffer.concat(pieces), () => done()))
}

async function wrapFolder(
  inDir: string,
  outDir: string,
  settings: TrackingSettings,
  makeLink: LinkMaker | undefined,
  sum: Sum,
  stopping: AbortSignal,
): Promise<void> {
  for (const file of filesIn(inDir)) {
    if (stopping.aborted) throw new StartError(`stopped before the end: ${sum.text()}`)
    const name = relative(inDir, file)
    try {
      if (!(await stat(file)).isFile()) continue
      const { pieces, report } = wrapMessage(withLineEnds(await readFile(file)), settings, makeLink)
      const target = join(outDir, name)
      makeFolder(dirname(target))
      await writeFile(target, Buffer.concat(pieces))
      sum.add(report)
    } catch (error) {
      process.stderr.write(`linktool: ${name}: ${(error as Error).message}\n`)
      process.exitCode = 1
    }
  }
}

/** The files of a folder and of those in it, links followed. */
function filesIn(dir: string): string[] {
  try {
    return [...walk(dir, [])].toSorted()
  } catch (error) {
    throw new StartError(`--in-dir ${dir} can't be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** @param around the folders that it lies in: a link back to one of them would lead in circles */
function* walk(dir: string, around: readonly string[]): Generator<string> {
  const real = realpathSync(dir)
  if (around.includes(real)) return
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory() || (entry.isSymbolicLink() && leadsToFolder(path))) yield* walk(path, [...around, real])
    else yield path
  }
}

/** A link that leads nowhere does not: who reads it as a file will tell. */
function leadsToFolder(link: string): boolean {
  try {
    return statSync(link).isDirectory()
  } catch {
    return false
  }
}

/** What was done to several messages. */
class Sum {
  #messages = 0
  #links = 0
  #pixels = 0
  readonly #skipped = new Map<string, number>()
  readonly #failures = new Map<string, number>()

  add({ links, pixels, skipped, failure }: WrapReport): void {
    this.#messages++
    this.#links += links
    this.#pixels += pixels
    for (const [reason, count] of Object.entries(skipped))
      this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + count)
    if (failure !== undefined) this.#failures.set(failure, (this.#failures.get(failure) ?? 0) + 1)
  }

  text(): string {
    const counts = (map: ReadonlyMap<string, number>) => [...map].map(([name, count]) => `${name} ${count}`).join(', ')
    const skipped = this.#skipped.size === 0 ? '' : `; left alone: ${counts(this.#skipped)}`
    const failures = this.#failures.size === 0 ? '' : `; failures: ${counts(this.#failures)}`
    return `messages ${this.#messages}, links wrapped ${this.#links}, pixels added ${this.#pixels}${skipped}${failures}`
  }
}
