/** Puts the agent together from its settings. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { lockDirectory } from '../../durable/directory-lock.ts'
import { SegmentLog } from '../../durable/segment-log.ts'
import type { Settings } from '../../process/option.ts'
import type { ProcessContext, Running } from '../../process/run.ts'
import { SettingsError, type WithCommon } from '../../process/settings.ts'
import { StartError } from '../../process/start-error.ts'
import { Credential } from '../upload/credential.ts'
import { DeadLetters } from '../upload/dead-letters.ts'
import { openTransport } from '../upload/transport.ts'
import { Uploader } from '../upload/uploader.ts'
import { Agent } from './agent.ts'
import { AgentState, type Positions } from './agent-state.ts'
import { customSmtpEvents, EventUpload } from './event-upload.ts'
import { followLogs, isPath } from './follow-logs.ts'
import type { FilePosition } from './log-file.ts'
import { makeDeliveryLog } from './make-delivery-log.ts'
import type { agentOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { passingTrouble } from './passing-trouble.ts'
import { Progress } from './progress.ts'
import { PendingLoss, recallPending } from './recall-pending.ts'
import { RecentEvents } from './recent-events.ts'
import { resumePlan } from './resume-plan.ts'
import { bouncedOrSoft } from './soft-bounce.ts'
import { sourceEvents } from './source-events.ts'

const deadLetterBytesMax = 10e6
const recentEventsMax = 100_000
/** The largest record of pending events has to find room beside what is released and not yet removed. */
const walBytesMin = 1e6

type Context = ProcessContext<typeof agentOptions>

export async function startAgent(context: Context): Promise<Running> {
  /** What gives up again what was opened, in the order of opening. */
  const closers: (() => void | Promise<void>)[] = []
  const close = async () => {
    for (const closer of closers.toReversed()) await closer()
  }
  try {
    const agent = await start(context, closers)
    return { done: agent.done, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function start(context: Context, closers: (() => void | Promise<void>)[]): Promise<Agent> {
  const { settings, log, health, metrics } = context
  const key = readKey(settings.apiKeyFile, settings.apiKey)
  const lock = await lockDirectory(settings.stateDir)
  closers.push(lock.release)
  const damage = passingTrouble(health, 'damage')
  const onStateDamage = (file: string, reason: string) => {
    log.error({ file, reason }, 'damaged state was set aside, the log is read again')
    damage(`${file}: ${reason}: it was set aside and the log is read again; events may be repeated`)
  }
  const state = new AgentState(settings.stateDir, onStateDamage)
  closers.push(() => state.close())
  const loss = new PendingLoss(log, damage)
  const pending = await SegmentLog.open({
    dir: join(settings.stateDir, 'pending.wal'),
    bytesMax: settings.walMaxBytes,
    onDamage: found => loss.add(found),
  })
  closers.push(() => pending.close())
  const destination = customSmtpEvents(settings.endpoint, key)
  const transport = openTransport()
  closers.push(() => transport.close())
  const uploader = new Uploader<string>({ destination, transport, log, health, metrics, prefix: 'agent' })
  const { batchEvents, batchAge: batchAgeMs } = settings
  const deadLetters = await openDeadLetters(join(settings.stateDir, 'dead-letters'))
  const upload = new EventUpload({ pending, uploader, deadLetters, batchEvents, batchAgeMs, log, health, metrics })
  const events = sourceEvents(log, health, metrics)
  const report = (outcome: Outcome) => agent.report(bouncedOrSoft(outcome, settings.bounceClass))
  const deliveryLog = makeDeliveryLog(settings, { report, suppressed: events.suppressed })
  let saved = await state.load()
  const recent = new RecentEvents(recentEventsMax)
  const recalled = await recallPending(pending, recent)
  loss.compare(pending, saved.cursor.lastSeq)
  loss.isStarting = false
  let plan = resumePlan(saved, recalled, loss.isAny)
  try {
    if (plan.usesMap) deliveryLog.restore(saved.map?.lines ?? [])
  } catch (error) {
    await state.setMapAside((error as Error).message)
    saved = { ...saved, map: undefined, damaged: true }
    plan = resumePlan(saved, recalled, loss.isAny)
  }
  const mapPositions = plan.usesMap ? (saved.map?.positions ?? {}) : {}
  const progress = new Progress({ state, deliveryLog, pending, health }, plan.cursor, mapPositions)
  const reportDeferred = settings.deferred
  const agent = new Agent({
    deliveryLog,
    pending,
    progress,
    recent,
    upload,
    batchEvents,
    reportDeferred,
    log,
    health,
    metrics,
  })
  closers.push(() => agent.close())
  const { logPath, fromBeginning, rotateWait } = settings
  const stopLooking = await followLogs(agent, {
    logPath,
    fromBeginning,
    rotateWait,
    known: Object.keys({ ...plan.cursor.read, ...plan.cursor.sent }),
    lastReadMs: lastReadMs(plan.cursor.read),
    forget: id => progress.forget(id),
    resume: plan.resume,
    events,
    log,
    health,
  })
  closers.push(stopLooking)
  agent.start()
  const pendingRecords = pending.lastSeq - pending.releasedSeq
  log.info({ logPath, endpoint: new URL(settings.endpoint).origin, pendingRecords }, 'following the log')
  context.onReload(() => uploader.reload())
  return agent
}

/** @throws {StartError} */
async function openDeadLetters(dir: string): Promise<DeadLetters> {
  try {
    return await DeadLetters.open(dir, deadLetterBytesMax, 'agent')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new StartError(`${dir} can't be made (${code}): check what is there, and the rights of --state-dir`)
  }
}

/** When anything was read last, of the logs that are files; 0 when nothing was. */
function lastReadMs(read: Positions): number {
  return Math.max(0, ...Object.values(read).map(({ place }) => (place as Partial<FilePosition> | null)?.at ?? 0))
}

/** What is wrong with the settings as a whole. @throws {SettingsError} */
export function validateAgent(settings: Settings<WithCommon<typeof agentOptions>>): void {
  readKey(settings.apiKeyFile, settings.apiKey)
  if (settings.walMaxBytes < walBytesMin)
    throw new SettingsError('--wal-max-bytes: expected at least 1MB, so that the largest record of pending events fits')
  for (const path of settings.logPath)
    if (isPath(path) && isNoFile(path))
      throw new SettingsError(
        `--log-path ${path} is not a regular file: send a pipe to standard input, as --log-path -`,
      )
}

/** Whether something else than a file is there. What is not there, or can't be looked at, may be so later. */
function isNoFile(path: string): boolean {
  try {
    return !statSync(path).isFile()
  } catch {
    return false
  }
}

function readKey(file: string | undefined, value: string | undefined): Credential {
  try {
    return new Credential(file, 'SENDPOST_API_KEY', value)
  } catch (error) {
    throw new SettingsError((error as Error).message)
  }
}
