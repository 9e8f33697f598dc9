/** Shows how what is reported of a message came about: each line that had a part in it, and what it was taken for. */
import { dryRunLine, readWholeFile } from './dry-run.ts'
import type { LineMessage } from './correlator.ts'
import type { DeliveryLog } from './delivery-log.ts'
import type { Outcome } from './outcome.ts'
import type { PostfixLog } from './postfix-log.ts'

/** Lines of an explanation; more are counted only. */
const linesMax = 10_000

/**
 * @param target a queue id or a UUID
 * @param makeLog makes a state machine that hands its outcomes to `report`
 * @param print takes one line of text
 * @throws Error of the file system
 */
export async function explain(
  target: string,
  files: readonly string[],
  makeLog: (report: (outcome: Outcome) => void) => PostfixLog,
  print: (text: string) => void,
): Promise<void> {
  const uuid = target.toLowerCase()
  const ids = new Set<string>()
  const uuids = new Set<string>([uuid])
  let outcomes: Outcome[] = []
  // Twice: what a queue id turns out to be called may have gone by other queue ids before.
  for (let pass = 0; pass < 2; pass++) {
    const log = makeLog(outcome => outcomes.push(outcome))
    await watch(files, log, message => {
      // Results that waited for the UUID come with a line of another queue id, of the same host.
      for (const { uuid: known, log: from } of outcomes)
        if (uuids.has(known)) ids.add(keyOf({ host: message.host, queueId: from.queueId }))
      outcomes = []
      if (message.queueId !== target && !(message.uuid !== undefined && uuids.has(message.uuid))) return
      ids.add(keyOf(message))
      if (message.uuid !== undefined) uuids.add(message.uuid)
    })
  }
  let events = 0
  let lines = 0
  let withoutUuid = false
  const log = makeLog(outcome => outcomes.push(outcome))
  await watch(files, log, (message, verdict, line) => {
    const own = outcomes.filter(outcome => uuids.has(outcome.uuid))
    outcomes = []
    events += own.length
    if (!ids.has(keyOf(message)) || (message.uuid !== undefined && !uuids.has(message.uuid))) return
    withoutUuid ||= verdict === 'held'
    if (++lines > linesMax) return
    print(`${verdict.padEnd(12)} ${Buffer.from(line, 'latin1').toString('utf8')}`)
    for (const outcome of own) print(`${''.padEnd(10)} → ${dryRunLine(outcome)}`)
  })
  if (lines === 0) print(`${target} is not in these files: was it logged earlier, or by another host?`)
  else if (withoutUuid && events === 0)
    print('No UUID was logged for it: see config/postfix, and run --doctor. Its results are counted, not sent.')
  else print(`${lines} lines, ${events} events`)
}

async function watch(
  files: readonly string[],
  log: PostfixLog,
  see: (message: LineMessage, verdict: string, line: string) => void,
): Promise<void> {
  const watched: DeliveryLog = {
    read: (line, whole, latestMs) => {
      const verdict = log.read(line, whole, latestMs)
      const { message } = log.correlator
      if (message) see(message, verdict, line)
      return verdict
    },
    size: 0,
    counts: () => log.counts(),
    end: () => undefined,
    save: () => [],
    restore: () => undefined,
  }
  for (const file of files) await readWholeFile(file, watched, new Map(), async () => undefined)
}

function keyOf({ host, queueId }: Pick<LineMessage, 'host' | 'queueId'>): string {
  return `${host} ${queueId}`
}
