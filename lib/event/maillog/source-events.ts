/** What sources tell about themselves, as log lines, health and metrics. */
import { Counter, type Registry } from '../../process/prometheus.ts'
import type { Health } from '../../process/health.ts'
import type { Logger } from '../../process/log.ts'
import { passingTrouble } from './passing-trouble.ts'
import type { SourceEvents } from './log-source.ts'

export interface AgentSourceEvents extends SourceEvents {
  /** The logger dropped lines. */
  suppressed: (lines: number) => void
}

export function sourceEvents(log: Logger, health: Health, metrics: Registry): AgentSourceEvents {
  const registers = [metrics]
  const gaps = new Counter({
    name: 'agent_log_gap_total',
    help: 'Times that lines of a log were gone before they were read.',
    registers,
  })
  const suppressed = new Counter({
    name: 'agent_suppressed_lines_total',
    help: 'Lines that the logger says it dropped, as journald does past its rate limit.',
    registers,
  })
  const skipped = new Counter({
    name: 'agent_skipped_bytes_total',
    help: 'Bytes of the log left out: NULs of a hole, and the rest of lines of more than 64 KiB.',
    labelNames: ['what'],
    registers,
  })
  const gapTrouble = passingTrouble(health, 'gap')
  const suppressedTrouble = passingTrouble(health, 'suppressed')
  const troubles = new Map<string, string>()
  let suppressedSum = 0
  return {
    trouble: (id, reason) => {
      if (troubles.get(id) === reason) return
      if (reason === undefined) {
        troubles.delete(id)
        log.info({ log: id }, 'the log can be read')
      } else {
        troubles.set(id, reason)
        log.warn({ log: id, reason }, 'the log can not be read, waiting for it')
      }
      const [first] = troubles
      health.set('log', first && `${first[0]}: ${first[1]}`)
    },
    gap: (id, reason) => {
      gaps.inc()
      log.error({ log: id, reason }, 'part of the log was lost')
      gapTrouble(`${id}: ${reason}; keep more rotations (logrotate: rotate)`)
    },
    suppressed: lines => {
      suppressed.inc(lines)
      suppressedSum += lines
      log.error({ lines }, 'the logger dropped lines')
      suppressedTrouble(
        `the logger dropped ${suppressedSum} lines: set LogRateLimitIntervalSec=0 for Postfix (config/postfix)`,
      )
    },
    skippedBytes: (count, what) => skipped.inc({ what }, count),
  }
}
