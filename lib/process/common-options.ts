/** The settings that every process knows, so that one configuration file can serve the whole pipeline. */
import { hostPort, integer, oneOf, option, path, trackingUrl, type Option } from './option.ts'

/** Where Redis is. The text may carry a password: it is never logged. */
const redisUrl = {
  placeholder: 'URL',
  read: (value: string) => {
    const url = /^(?:rediss?:\/\/.|unix:\/\/\/.)/.test(value) && URL.canParse(value) ? new URL(value) : undefined
    const isUnix = url?.protocol === 'unix:'
    const db = isUnix ? (url.searchParams.get('db') ?? '') : url?.pathname.slice(1)
    if (!url || !/^\d*$/.test(db ?? '') || (!isUnix && url.hostname === '')) {
      throw new Error('expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=N, of one server')
    }
    return value
  },
}

export const commonOptions = {
  config: option(path, { help: 'Configuration file (YAML, the same names as the options).' }),
  logfile: option(path, {
    help: 'Where log lines go, one JSON object a line; reopened on SIGHUP. Standard output otherwise.',
  }),
  'log-level': option(oneOf('debug', 'info', 'warn', 'error'), {
    help: 'What is logged.',
    default: 'info',
    env: 'LOG_LEVEL',
  }),
  'redis-url': option(redisUrl, {
    help: 'Redis that holds queue and records: redis://, rediss:// or unix:///path.',
    default: 'redis://127.0.0.1:6379',
    env: 'REDIS_URL',
    secret: true,
  }),
  partitions: option(integer(1, 256), {
    help: 'Partitions of the queue, when this process is the first ever to use this Redis; afterwards what Redis says counts.',
    default: '4',
    env: 'MTA_TRACKING_PARTITIONS',
  }),
  'link-keys': option(path, { help: 'File with the keys that sign and verify links.', env: 'LINK_KEYS_FILE' }),
  'tracking-url': option(trackingUrl, {
    help: 'Public address of the tracker, the beginning of every link.',
    env: 'TRACKING_URL',
  }),
  'metrics-hostport': option(hostPort, { help: 'Where /health and /metrics are served; off unless set.' }),
} satisfies Record<string, Option<unknown>>

export type CommonOptions = typeof commonOptions
