/** The counters of the tracker. What happens to events in Redis and the spill is counted by the producer. */
import { Counter, Histogram, type Registry } from 'prom-client'
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
  const answers = new Counter({
    name: 'tracker_answers_total',
    help: 'Requests answered, by what was answered.',
    labelNames: ['answer'],
    registers,
  })
  const events = new Counter({
    name: 'tracker_events_total',
    help: 'Engagement events recorded, by type. HEAD requests and shown pages are no events.',
    labelNames: ['type'],
    registers,
  })
  const refused = new Counter({
    name: 'tracker_refused_total',
    help: 'Requests that were not followed, by reason.',
    labelNames: ['reason'],
    registers,
  })
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
  const seconds = new Histogram({
    name: 'tracker_answer_seconds',
    help: 'Time from a complete request header to the answer, the confirmation of its event included.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  })
  const answersBy = new Map(answerKinds.map(kind => [kind, answers.labels(kind)]))
  const refusedBy = new Map(refusals.map(reason => [reason, refused.labels(reason)]))
  const eventsBy = new Map<string, Counter.Internal>()
  return {
    answered: (kind, took) => {
      answersBy.get(kind)?.inc()
      seconds.observe(took)
    },
    event: type => {
      let counter = eventsBy.get(type)
      if (!counter) eventsBy.set(type, (counter = events.labels(type)))
      counter.inc()
    },
    refused: reason => refusedBy.get(reason)?.inc(),
    head: () => heads.inc(),
    failed: () => failures.inc(),
  }
}
