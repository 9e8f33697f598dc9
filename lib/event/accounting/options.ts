/** The settings of acct_etl. */
import { bytes, flag, integer, option, path, text } from '../../process/option.ts'

export const acctEtlOptions = {
  infile: option(path, {
    help: 'Accounting file to read, then end. Without it: standard input, as PowerMTA writes to an accounting pipe.',
  }),
  'ttl-days': option(integer(1, 3650), { help: 'How long records are kept, in days.', default: '10' }),
  events: option(flag, {
    help: "Also make events of deliveries, bounces, delays and complaints. Off, for PowerMTA's own Signals upload may do it.",
    default: 'false',
  }),
  'spill-dir': option(path, {
    help: 'Folder for what Redis does not take at the moment, and for the last header line. One running acct_etl a folder.',
    default: 'var/spill/acct_etl',
  }),
  'spill-max-bytes': option(bytes, {
    help: 'Most that may wait there. When it is full the pipe is held.',
    default: '1GB',
  }),
  source: option(text, {
    help: 'Name of the accounting pipe, under which its last header line is kept. Default: the name of this host.',
  }),
  'reject-file': option(path, {
    help: 'File for lines that can not be used. Default: rejected.ndjson in --spill-dir.',
  }),
  'reject-max-bytes': option(bytes, { help: 'Most that reject files may take.', default: '10MB' }),
}
