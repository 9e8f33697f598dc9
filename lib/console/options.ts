/** The settings of the console. */
import { bytes, hostPort, integer, option, path, text, type OptionTable } from '../process/option.ts'

export const consoleOptions = {
  'in-hostport': option(hostPort, {
    help: 'Where both ingestion APIs, the JSON API and the page are served.',
    default: '127.0.0.1:8025',
  }),
  'smtp-hostport': option(hostPort, {
    help: 'Where the catch-all mailbox takes mail; it accepts everything and sends nothing.',
    default: '127.0.0.1:2525',
  }),
  'data-dir': option(path, { help: 'Folder of the database.', default: 'var/console' }),
  'api-key': option(text, {
    help: 'The key that both ingestion APIs ask for. Without it any key that is not empty is accepted, and the console listens on loopback only.',
    secret: true,
  }),
  'max-message-bytes': option(bytes, { help: 'Largest mail that is accepted.', default: '50MiB' }),
  'keep-events': option(integer(1, 1e9), { help: 'Events that are kept; the oldest go first.', default: '5000000' }),
  'keep-mails': option(integer(1, 1e7), { help: 'Mails that are kept; the oldest go first.', default: '10000' }),
  'keep-bytes': option(bytes, {
    help: 'Size of the database; beyond it the oldest mails go first, then the oldest events.',
    default: '8GiB',
  }),
} satisfies OptionTable

export type ConsoleOptions = typeof consoleOptions
