/** What the agent does besides following a log: `--dry-run`, `--explain`, `--doctor`. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, globSync, openSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { readNow } from '../../process/named-file.ts'
import { type ProcessContext, type Running } from '../../process/run.ts'
import { StartError } from '../../process/start-error.ts'
import { examine, type Examined } from './doctor.ts'
import { dryRunLine, readWholeFile, readWholeSource } from './dry-run.ts'
import { explain } from './explain.ts'
import { LogLineReader } from './log-line.ts'
import { makeDeliveryLog, makePostfixLog } from './make-delivery-log.ts'
import type { SourceEvents } from './log-source.ts'
import type { inspectOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { rotatedFiles } from './rotated-files.ts'
import { bouncedOrSoft } from './soft-bounce.ts'
import { StampClock } from './stamp-clock.ts'
import { StreamSource } from './stream-source.ts'
import { TimeZone } from './time-zone.ts'

type Context = ProcessContext<typeof inspectOptions>

const tailBytes = 64 * 1024
const commandMsMax = 10_000

export async function startInspection(context: Context): Promise<Running> {
  const { settings } = context
  const inspection = settings.doctor ? doctor : settings.explain === undefined ? dryRun : explanation
  return { done: inspection(context), close: async () => undefined }
}

async function dryRun({ settings, operands, stopping }: Context): Promise<void> {
  const lines: string[] = []
  let suppressed = 0
  const report = (outcome: Outcome) => {
    if (outcome.type === 'deferred' && !settings.deferred) return
    lines.push(dryRunLine(bouncedOrSoft(outcome, settings.bounceClass)))
  }
  const deliveryLog = makeDeliveryLog(settings, { report, suppressed: count => (suppressed += count) })
  const verdicts = new Map<string, number>()
  const flush = async () => {
    if (lines.length === 0) return
    const text = `${lines.splice(0).join('\n')}\n`
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  }
  for (const path of operands.length > 0 ? operands : settings.logPath) {
    if (stopping.aborted) return
    await reading(path, async () => {
      const stream = path === '-' ? process.stdin : pipeAt(path)
      return stream
        ? readWholeSource(new StreamSource(path, stream, silent), deliveryLog, verdicts, flush)
        : readWholeFile(path, deliveryLog, verdicts, flush)
    })
  }
  deliveryLog.end()
  const counts = { lines: Object.fromEntries(verdicts), ...deliveryLog.counts(), suppressed }
  process.stderr.write(`${JSON.stringify(counts)}\n`)
}

/** What can be read once only, such as bash's `<(zcat FILE)`; undefined for all else. @throws Error of the file system */
function pipeAt(path: string): Readable | undefined {
  const descriptor = openSync(path, readNow)
  if (fstatSync(descriptor).isFIFO()) return new Socket({ fd: descriptor, readable: true, writable: false })
  closeSync(descriptor)
  return undefined
}

/** In the given files; without any in the log and its rotations. */
async function explanation({ settings, operands }: Context): Promise<void> {
  const files = [...operands]
  if (files.length === 0) {
    for (const path of settings.logPath) files.push(...(await rotatedFiles(path)).map(file => file.path), path)
  }
  if (settings.mta !== 'postfix')
    throw new StartError(
      `--explain reads the log of Postfix; each line of ${settings.mta} stands for itself, see --dry-run`,
    )
  const makeLog = (report: (outcome: Outcome) => void) =>
    makePostfixLog(settings, {
      report: outcome => report(bouncedOrSoft(outcome, settings.bounceClass)),
      suppressed: () => undefined,
    })
  await reading(files.join(', '), () =>
    explain(settings.explain!, files, makeLog, line => process.stdout.write(`${line}\n`)),
  )
}

async function doctor({ settings }: Context): Promise<void> {
  const run = promisify(execFile)
  const examined: Examined = {
    run: (command, ...words) =>
      run(command, words, {
        timeout: commandMsMax,
        env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
      }).then(
        ({ stdout, stderr }) => ({ ok: true, output: stdout, complaint: stderr }),
        (error: { stdout?: string; stderr?: string }) => ({
          ok: false,
          output: error.stdout ?? '',
          complaint: error.stderr ?? '',
        }),
      ),
    tail: async path => {
      const file = await open(path, readNow)
      try {
        const { size } = await file.stat()
        const bytes = Buffer.alloc(Math.min(size, tailBytes))
        const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length)
        return bytes.toString('latin1', 0, bytesRead)
      } finally {
        await file.close()
      }
    },
    contents: glob => Promise.all(globSync(glob).map(file => readFile(file, 'utf8').catch(() => ''))),
  }
  const reader = new LogLineReader(new StampClock(settings.logTimezone ?? new TimeZone(), Date.now))
  const findings = await examine(examined, {
    logPaths: settings.logPath,
    configDir: settings.postfixConfig,
    mapTtlMs: settings.mapTtl,
    recognise: line =>
      !reader.read(line) || !line.includes('postfix')
        ? 'unknown'
        : /^[\p{L}<]/u.test(line) && !line.startsWith('<')
          ? 'local'
          : 'zoned',
  })
  for (const { level, text } of findings) process.stdout.write(`${level.padEnd(4)}  ${text}\n`)
  if (findings.some(({ level }) => level === 'fail')) process.exitCode = 1
}

async function reading(path: string, read: () => Promise<void>): Promise<void> {
  try {
    await read()
  } catch (error) {
    throw new StartError(`${path} can't be read: ${(error as Error).message}`)
  }
}

const silent: SourceEvents = { trouble: () => undefined, gap: () => undefined, skippedBytes: () => undefined }
