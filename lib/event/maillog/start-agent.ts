/** Puts the agent together from its settings. */
import { globSync, existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { lockDirectory } from '../../durable/durable-file.ts'
import { SegmentLog } from '../../durable/segment-log.ts'
import type { Settings } from '../../process/option.ts'
import type { ProcessContext, Running } from '../../process/run.ts'
import { SettingsError, type WithCommon } from '../../process/settings.ts'
import { Credential } from '../upload/credential.ts'
import { DeadLetters } from '../upload/dead-letters.ts'
import { openTransport } from '../upload/transport.ts'
import { Uploader } from '../upload/uploader.ts'
import { Agent, passingTrouble, resumeOf } from './agent.ts'
import { AgentState, type Positions } from './agent-state.ts'
import type { ApiEvent } from './api-event.ts'
import { customSmtpEvents, EventUpload } from './event-upload.ts'
import { FileSource } from './file-source.ts'
import { JournalSource } from './journal-source.ts'
import { makeDeliveryLog } from './make-delivery-log.ts'
import type { LogSource, Resume, SourceEvents } from './log-source.ts'
import type { agentOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { decodePending } from './pending-record.ts'
import { isRotationOf } from './rotated-files.ts'
import { bouncedOrSoft } from './soft-bounce.ts'
import { sourceEvents } from './source-events.ts'
import { StreamSource } from './stream-source.ts'

const deadLetterBytesMax = 10e6
const readBytes = 4 << 20
const segmentBytesMax = 4 << 20
/** How often globs are looked at for files that are new. */
const globEveryMs = 10_000

export async function startAgent(context: ProcessContext<typeof agentOptions>): Promise<Running> {
  const { settings, log, health, metrics } = context
  const key = readKey(settings.apiKeyFile, settings.apiKey)
  const lock = await lockDirectory(settings.stateDir)
  const damage = passingTrouble(health, 'damage')
  const onDamage = (file: string, reason: string) => {
    log.error({ file, reason }, 'damaged state was set aside, going on without it')
    damage(`${file} was damaged (${reason}): it was set aside and the log is read again`)
  }
  const state = new AgentState(settings.stateDir, onDamage)
  const pending = await SegmentLog.open({
    dir: join(settings.stateDir, 'pending.wal'),
    bytesMax: settings.walMaxBytes,
    // Space comes back by whole segments: a small log needs small ones.
    segmentBytes: Math.min(segmentBytesMax, Math.ceil(settings.walMaxBytes / 8)),
    onDamage: ({ file, reason }) => onDamage(file, reason),
  })
  const destination = customSmtpEvents(settings.endpoint, key)
  const transport = openTransport()
  const uploader = new Uploader<ApiEvent>({ destination, transport, log, health, metrics, prefix: 'agent' })
  const upload = new EventUpload({
    pending,
    uploader,
    deadLetters: await DeadLetters.open(join(settings.stateDir, 'dead-letters'), deadLetterBytesMax, 'agent'),
    batchEvents: settings.batchEvents,
    batchAgeMs: settings.batchAge,
    log,
    health,
    metrics,
  })
  const events = sourceEvents(log, health, metrics)
  const report = (outcome: Outcome) => agent.report(bouncedOrSoft(outcome, settings.bounceClass))
  const deliveryLog = makeDeliveryLog(settings, { report, suppressed: events.suppressed })
  let saved = await state.load()
  if (saved.map) {
    try {
      deliveryLog.restore(saved.map.lines)
    } catch (error) {
      onDamage(join(settings.stateDir, 'queue-ids'), (error as Error).message)
      saved = { ...saved, map: undefined, damaged: true }
    }
  }
  const agent = new Agent(
    {
      deliveryLog,
      pending,
      state,
      upload,
      batchEvents: settings.batchEvents,
      reportDeferred: settings.deferred,
      log,
      health,
      metrics,
    },
    saved,
  )
  const inPending = await recall(pending, agent)
  const resume = (id: string) => resumeOf(id, saved, inPending)
  const { paths, globs } = pathsOf(settings.logPath)
  const open = async (path: string) => agent.follow(await openSource(path, settings, resume(sourceId(path)), events))
  for (const path of paths) await open(path)
  agent.start()
  log.info(
    { logPath: settings.logPath, endpoint: settings.endpoint, pendingEvents: pending.lastSeq - pending.releasedSeq },
    'following the log',
  )
  const known = new Set(paths)
  const looking = setInterval(() => {
    for (const path of pathsOf(globs).paths) {
      if (known.has(path)) continue
      known.add(path)
      log.info({ path }, 'a further log')
      // It appeared while we ran: all that it holds is new.
      const whole = { ...settings, fromBeginning: true }
      void openSource(path, whole, resume(path), events).then(source => agent.follow(source))
    }
  }, globEveryMs)
  if (globs.length === 0) clearInterval(looking)
  context.onReload(() => uploader.reload())
  return {
    done: agent.done,
    close: async () => {
      clearInterval(looking)
      await agent.close()
      await transport.close()
      await lock.release()
    },
  }
}

/** What is wrong with the settings as a whole. @throws {SettingsError} */
export function validateAgent(settings: Settings<WithCommon<typeof agentOptions>>): void {
  readKey(settings.apiKeyFile, settings.apiKey)
}

function readKey(file: string | undefined, value: string | undefined): Credential {
  try {
    return new Credential(file, 'SENDPOST_API_KEY', value)
  } catch (error) {
    throw new SettingsError((error as Error).message)
  }
}

/** What an earlier run left: its events, so that none is reported twice, and where they were read. */
async function recall(pending: SegmentLog, agent: Agent): Promise<Positions> {
  const positions: Record<string, Positions[string]> = {}
  for (let after = pending.releasedSeq; ;) {
    const records = await pending.read(after, readBytes)
    const last = records.at(-1)
    if (!last) return positions
    for (const { payload } of records) {
      const record = decodePending(payload)
      agent.remember(record)
      const { read } = record
      if (read) positions[read[0]] = read[1]
    }
    after = last.seq
  }
}

/** The settings' paths with their globs resolved: what is there now, without rotations of one another. */
export function pathsOf(settings: readonly string[]): { paths: string[]; globs: string[] } {
  const isGlob = (path: string) => /[*?[{]/.test(path) && !existsSync(path)
  const globs = settings.filter(isGlob)
  const found = [...settings.filter(path => !isGlob(path)), ...globs.flatMap(glob => globSync(glob).toSorted())]
  const paths = [...new Set(found)]
  return {
    globs,
    paths: paths.filter(path => !paths.some(other => other !== path && isRotationOf(basename(path), basename(other)))),
  }
}

function sourceId(path: string): string {
  return path === 'journald' ? 'journald' : path
}

async function openSource(
  path: string,
  settings: { readonly fromBeginning: boolean; readonly rotateWait: number },
  resume: Resume,
  events: SourceEvents,
): Promise<LogSource> {
  if (path === '-') return new StreamSource('-', process.stdin, events)
  const { fromBeginning, rotateWait: rotateWaitMs } = settings
  if (path === 'journald') return new JournalSource({ fromBeginning, events }, resume)
  return FileSource.open({ path, rotateWaitMs, fromBeginning, events }, resume)
}
