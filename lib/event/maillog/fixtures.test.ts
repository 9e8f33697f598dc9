/** Real logs with the events that they must yield, where the collection is at hand. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { correlatorDefaults } from './correlator-options.ts'
import { Correlator } from './correlator.ts'
import { LogLineReader } from './log-line.ts'
import type { Outcome } from './outcome.ts'
import { StampClock } from './stamp-clock.ts'
import { TimeZone } from './time-zone.ts'

const folder = fileURLToPath(new URL('../../../../shared/fixtures/postfix-logs/', import.meta.url))

interface Expected {
  recipient: string
  original_recipient?: string | null
  event_type: string
  smtp_code: number | null
  enhanced_code: string
  /** Null where the log can't tell it: counted, not reported. */
  uuid: string | null
  description_contains: string
  description_full?: string
  count?: string | number
  optional?: boolean
  final?: boolean
  log_timestamps?: string[]
}

function outcomesOf(text: string): Outcome[] {
  const outcomes: Outcome[] = []
  const now = () => Date.parse('2026-12-01T00:00:00Z')
  const correlator = new Correlator(correlatorDefaults, now, outcome => outcomes.push(outcome))
  const reader = new LogLineReader(new StampClock(new TimeZone('UTC'), now))
  for (const line of text.split('\n')) {
    const read = reader.read(line)
    if (read) correlator.read(read)
  }
  return outcomes
}

const scenarios = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.expected.json')) : []

test('the collection of real logs', { skip: scenarios.length === 0 && 'not at hand' }, async context => {
  for (const name of scenarios) {
    const { files, events } = JSON.parse(readFileSync(folder + name, 'utf8')) as { files: string[]; events: Expected[] }
    for (const file of files) {
      await context.test(file, () => {
        const outcomes = outcomesOf(readFileSync(folder + file, 'latin1'))
        for (const expected of events) {
          if (expected.uuid === null) continue
          const matches = (outcome: Outcome) =>
            outcome.log.to === expected.recipient &&
            outcome.type === expected.event_type &&
            outcome.uuid === expected.uuid &&
            (outcome.code ?? null) === expected.smtp_code &&
            outcome.log.dsn === expected.enhanced_code &&
            outcome.description.includes(expected.description_contains) &&
            (expected.final === undefined || outcome.log.status.endsWith('expired')) &&
            (!expected.original_recipient || outcome.recipient === expected.original_recipient)
          const found = outcomes.filter(matches)
          const { count } = expected
          if (typeof count === 'string' && count.endsWith('+')) assert.ok(found.length >= Number.parseInt(count, 10))
          else if (!(expected.optional && found.length === 0))
            assert.equal(found.length, Number(count ?? 1), JSON.stringify(expected, null, 1))
          const full = expected.description_full
          if (full !== undefined) for (const outcome of found) assert.equal(outcome.description.slice(0, 300), full)
          for (const outcome of found) outcomes.splice(outcomes.indexOf(outcome), 1)
        }
        assert.deepEqual(outcomes, [], 'nothing else')
      })
    }
  }
})
