/**
 * The counters of the tracker. What happens to events in Redis and the spill is counted by the producer.
 *
 * A request only adds to plain numbers; they reach the metrics when those are read.
 */
import { Counter, Histogram, type Registry } from '../../process/prometheus.ts'
import { answerKinds, type AnswerKind } from './answer.ts'
import { refusals, type Refusal } from './engagement.ts'

export interface TrackerMetrics {
  answered: (kind: AnswerKind, seconds: number) => void
  event: (type: string) => void
  refused: (reason: Refusal) => void
  /** A HEAD request for a link of ours. */
  head: () => void
  failed: () => void
}

export function trackerMetrics(registry: Registry): TrackerMetrics {
  const registers = [registry]
  const answered = new Tally<AnswerKind>()
  const recorded = new Tally<string>()
  const refused = new Tally<Refusal>()
  const tallied = (name: string, label: string, help: string, tally: Tally<string>, known: readonly string[]) => {
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect: () => tally.take((of, count) => counter.inc({ [label]: of }, count)),
    })
    for (const of of known) counter.inc({ [label]: of }, 0)
  }
  tallied('tracker_answers_total', 'answer', 'Requests answered, by what was answered.', answered, answerKinds)
  tallied(
    'tracker_events_total',
    'type',
    'Engagement events recorded, by type. HEAD requests and shown pages are no events.',
    recorded,
    [],
  )
  tallied('tracker_refused_total', 'reason', 'Requests that were not followed, by reason.', refused, refusals)
  const heads = new Counter({
    name: 'tracker_head_total',
    help: 'HEAD requests for valid links: machines looking, no engagement and no event.',
    registers,
  })
  const failures = new Counter({
    name: 'tracker_failures_total',
    help: 'Requests that failed unexpectedly and were answered 400; the log says why.',
    registers,
  })
  const times = new Float64Array(1024)
  let timesCount = 0
  const observeTimes = () => {
    for (let index = 0; index < timesCount; index++) seconds.observe(times[index]!)
    timesCount = 0
  }
  const seconds: Histogram = new Histogram({
    name: 'tracker_answer_seconds',
    help: 'Time from a complete request header to the answer, the confirmation of its event included.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
    collect: observeTimes,
  })
  return {
    answered: (kind, took) => {
      answered.add(kind)
      if (timesCount === times.length) observeTimes()
      times[timesCount++] = took
    },
    event: type => recorded.add(type),
    refused: reason => refused.add(reason),
    head: () => heads.inc(),
    failed: () => failures.inc(),
  }
}

/** How often each of a few words came. */
class Tally<Word extends string> {
  readonly #counts = new Map<Word, { count: number }>()

  add(word: Word): void {
    const known = this.#counts.get(word)
    if (known) known.count++
    else this.#counts.set(word, { count: 1 })
  }

  /** Hands over what came since the last time. */
  take(receive: (word: Word, count: number) => void): void {
    for (const [word, known] of this.#counts) {
      if (known.count > 0) receive(word, known.count)
      known.count = 0
    }
  }
}
