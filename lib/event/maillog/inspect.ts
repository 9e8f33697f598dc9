/** What the agent does besides following a log: `--dry-run`, `--explain`, `--doctor`. */
import { once } from 'node:events'
import { StartError, type ProcessContext, type Running } from '../../process/run.ts'
import { correlatorDefaults } from './correlator.ts'
import { dryRunLine, readWholeFile, readWholeSource } from './dry-run.ts'
import type { SourceEvents } from './log-source.ts'
import type { inspectOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { PostfixLog } from './postfix-log.ts'
import { bouncedOrSoft } from './soft-bounce.ts'
import { StreamSource } from './stream-source.ts'
import { TimeZone } from './time-zone.ts'

type Context = ProcessContext<typeof inspectOptions>

export async function startInspection(context: Context): Promise<Running> {
  return { done: dryRun(context), close: async () => undefined }
}

async function dryRun({ settings, operands, stopping }: Context): Promise<void> {
  const lines: string[] = []
  const report = (outcome: Outcome) => {
    if (outcome.type === 'deferred' && !settings.deferred) return
    lines.push(dryRunLine(bouncedOrSoft(outcome, settings.bounceClass)))
  }
  const deliveryLog = new PostfixLog(
    {
      ...correlatorDefaults,
      ttlMs: settings.mapTtl,
      entriesMax: settings.mapMaxEntries,
      deferredIntervalMs: settings.deferredInterval,
      hopRelays: settings.hopRelay ?? [],
    },
    settings.logTimezone ?? TimeZone.system(),
    { report, suppressed: count => (suppressed += count) },
  )
  let suppressed = 0
  const verdicts = new Map<string, number>()
  const flush = async () => {
    if (lines.length === 0) return
    const text = `${lines.splice(0).join('\n')}\n`
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  }
  for (const path of operands.length > 0 ? operands : settings.logPath) {
    if (stopping.aborted) return
    try {
      if (path === '-')
        await readWholeSource(new StreamSource('-', process.stdin, silent), deliveryLog, verdicts, flush)
      else await readWholeFile(path, deliveryLog, verdicts, flush)
    } catch (error) {
      throw new StartError(`${path} can't be read: ${(error as Error).message}`)
    }
  }
  deliveryLog.correlator.end()
  const counts = { lines: Object.fromEntries(verdicts), ...deliveryLog.counts(), suppressed }
  process.stderr.write(`${JSON.stringify(counts)}\n`)
}

const silent: SourceEvents = { trouble: () => undefined, gap: () => undefined, skippedBytes: () => undefined }
