/** The tracker's own settings. */
import { LinkKeys } from '../../link/keys.ts'
import { SettingsError } from '../../process/settings.ts'
import {
  bytes,
  duration,
  flag,
  hostPort,
  integer,
  listOf,
  network,
  oneOf,
  option,
  path,
  type Kind,
  type OptionTable,
} from '../../process/option.ts'

/** A host name, or `*.` and the name that it is below. */
const hostPattern: Kind<string> = {
  placeholder: 'HOST',
  read: value => {
    const host = value.toLowerCase()
    if (!/^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$|^\[[0-9a-f:.]+\]$/.test(host)) {
      throw new Error('expected a host name such as www.example.com or *.example.com, without scheme and path')
    }
    return host
  },
}

export const trackerOptions = {
  'in-hostport': option(hostPort, { help: 'Where to listen.', default: '127.0.0.1:8888' }),
  'trusted-proxies': option(listOf(network), {
    help: 'Proxies whose X-Forwarded-For or X-Real-IP says who the client is. Without it nobody is believed.',
    default: '',
  }),
  'spill-dir': option(path, {
    help: 'Where events wait while Redis does not take them. One tracker a folder.',
    default: 'var/spill/tracker',
  }),
  'spill-max-bytes': option(bytes, {
    help: 'Most that may wait there; beyond it links still work, but their events are lost and counted.',
    default: '100MB',
  }),
  'legacy-links': option(oneOf('off', 'confirm', 'allow'), {
    help: 'What becomes of unsigned links of the 2020 project: not found; a page that shows the target; followed when they lead to --legacy-hosts.',
    default: 'off',
  }),
  'legacy-hosts': option(listOf(hostPattern), {
    help: 'Hosts that unsigned links may lead to with --legacy-links allow; *.example.com means those below.',
    default: '',
  }),
  'geoip-db': option(path, { help: 'Database in MaxMind format (.mmdb) that says where an address is.' }),
  'apple-relays': option(path, {
    help: "Apple's list of relays (egress-ip-ranges.csv): with it only they count as Mail Privacy Protection.",
  }),
  ip: option(oneOf('full', 'truncate', 'none'), {
    help: 'What events keep of the address: all, its /24 or /48 network, nothing.',
    default: 'full',
  }),
  'early-click': option(duration, {
    help: "A click this soon after its message was stamped counts as a machine's; 0 turns it off.",
    default: '5s',
  }),
  'access-log': option(flag, {
    help: 'Log a line for each request: key id and hash of the token, no address, no URL.',
    default: 'false',
  }),
  processes: option(integer(1, 64), {
    help: 'Processes that share the port.',
    default: '1',
  }),
} satisfies OptionTable

/** What single settings can't say. */
export function validateTracker(settings: {
  readonly linkKeys: string | undefined
  readonly legacyLinks: string
  readonly legacyHosts: readonly string[]
}): void {
  if (settings.linkKeys === undefined) {
    throw new SettingsError(
      '--link-keys FILE is required: without keys no link can be verified (linktool keys new makes one)',
    )
  }
  try {
    LinkKeys.load(settings.linkKeys)
  } catch (error) {
    throw new SettingsError((error as Error).message)
  }
  if (settings.legacyHosts.length > 0 && settings.legacyLinks !== 'allow') {
    throw new SettingsError('--legacy-hosts only means something with --legacy-links allow')
  }
}
