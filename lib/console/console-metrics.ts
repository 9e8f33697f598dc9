/** What the console counts. */
import { Counter, type Registry } from '../process/prometheus.ts'
import { observedGauge } from '../process/observed-gauge.ts'
import type { ArchiveCounts } from './archive-operations.ts'

export function consoleMetrics(registry: Registry, counts: () => Promise<ArchiveCounts>) {
  const registers = [registry]
  const gauge = (name: string, help: string, what: keyof ArchiveCounts) =>
    observedGauge(registry, name, help, async () => (await counts())[what])
  gauge('console_events_kept', 'Events in the database.', 'events')
  gauge('console_mails_kept', 'Mails in the database.', 'mails')
  gauge('console_database_bytes', 'Bytes of the database that are in use.', 'bytes')
  return {
    events: new Counter({
      name: 'console_events_total',
      help: 'Events received, by API and by what became of them.',
      labelNames: ['source', 'outcome'] as const,
      registers,
    }),
    refused: new Counter({
      name: 'console_requests_refused_total',
      help: 'Requests to the ingestion APIs that were refused, by API and status.',
      labelNames: ['source', 'status'] as const,
      registers,
    }),
    mails: new Counter({ name: 'console_mails_total', help: 'Mails caught.', registers }),
    mailBytes: new Counter({ name: 'console_mail_bytes_total', help: 'Bytes of the mails caught.', registers }),
    mailsRefused: new Counter({
      name: 'console_mails_refused_total',
      help: 'Mails that were not kept, by reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
    forgotten: new Counter({
      name: 'console_forgotten_total',
      help: 'Events and mails that were removed to stay within the bounds of the database.',
      labelNames: ['what'] as const,
      registers,
    }),
  }
}
