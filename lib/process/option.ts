/**
 * Declares one setting of a process: how its text is read, what it means, where it may come from.
 *
 * The same declaration serves the command line, the environment, the configuration file, `--help` and the type of the
 * settings object, so that a setting is described in exactly one place.
 */

import { readNetwork, type Network } from '../network/network.ts'

/** How the text of a setting becomes a value. `read` throws an Error that says what was expected, never the value. */
export interface Kind<T> {
  readonly placeholder: string
  readonly read: (text: string) => T
}

export interface OptionSpec {
  /** One or two sentences for `--help`. */
  readonly help: string
  /** The default, written as a user would write it. */
  readonly default?: string
  /** Refuse to start without it. */
  readonly required?: true
  /** Environment variable, when it is not the derived `<PROCESS>_<NAME>`. */
  readonly env?: string
  /** Never repeated in an error, log line or metric. */
  readonly secret?: true
}

export interface Option<T> extends OptionSpec {
  readonly kind: Kind<T>
  /** Carries the value's type; never set. */
  readonly value?: T
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S

/** The settings that a table of options yields: `in-hostport` becomes `inHostport`. */
export type Settings<Table extends OptionTable> = {
  readonly [Name in keyof Table & string as Camel<Name>]: Table[Name] extends Option<infer T> ? T : never
}

/** Declares a setting; without a default and not required it may be undefined. */
export function option<T>(kind: Kind<T>, spec: OptionSpec & { default: string }): Option<T>
export function option<T>(kind: Kind<T>, spec: OptionSpec & { required: true }): Option<T>
export function option<T>(kind: Kind<T>, spec: OptionSpec): Option<T | undefined>
export function option<T>(kind: Kind<T>, spec: OptionSpec): Option<T | undefined> {
  return { kind, ...spec }
}

/** `in-hostport` → `inHostport`. */
export function camelCase(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** Any text that is not empty. */
export const text: Kind<string> = {
  placeholder: 'TEXT',
  read: value => {
    if (value === '') throw new Error('expected a text that is not empty')
    return value
  },
}

/** A file or folder; relative to the working directory. */
export const path: Kind<string> = { placeholder: 'PATH', read: text.read }

/** On or off. On the command line `--name`, `--no-name` or `--name=false`. */
export const flag: Kind<boolean> = {
  placeholder: '',
  read: value => {
    switch (value.toLowerCase()) {
      case 'true':
      case 'yes':
      case 'on':
      case '1':
        return true
      case 'false':
      case 'no':
      case 'off':
      case '0':
        return false
      default:
        throw new Error('expected true or false')
    }
  },
}

/** A whole number between min and max, both included. */
export function integer(min: number, max: number): Kind<number> {
  return {
    placeholder: 'N',
    read: value => {
      const number = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= min && number <= max)) throw new Error(`expected a whole number from ${min} to ${max}`)
      return number
    },
  }
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  return {
    placeholder: words.join('|'),
    read: value => {
      const found = words.find(word => word === value)
      if (found === undefined) throw new Error(`expected one of ${words.join(', ')}`)
      return found
    },
  }
}

/** Values separated by commas; in the configuration file also a YAML sequence. */
export function listOf<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    placeholder: `${kind.placeholder},…`,
    read: value =>
      value
        .split(',')
        .map(item => item.trim())
        .filter(item => item !== '')
        .map(kind.read),
  }
}

/** A petabyte: what is more was not meant. */
const bytesMax = 1e15

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
}

/** A number of bytes: `25MiB`, `100 MB`, `5000000`. */
export const bytes: Kind<number> = {
  placeholder: 'BYTES',
  read: value => {
    const match = /^(\d{1,12}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(value.trim())
    const unit = byteUnits[match?.[2]?.toLowerCase() ?? '?']
    const count = Math.round(Number(match?.[1]) * (unit ?? 0))
    if (!match || unit === undefined || count > bytesMax) {
      throw new Error('expected a number of bytes such as 100MB, 25MiB or 5000000')
    }
    return count
  },
}

const timeUnits: Readonly<Record<string, number>> = { ms: 1, '': 1e3, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }

/** A time span of at most ten years, as milliseconds: `500ms`, `30s`, `24h`, `5d`; a bare number means seconds. */
export const duration: Kind<number> = {
  placeholder: 'TIME',
  read: value => readDuration(value, 3_650),
}

/**
 * A time span that is waited for, of at most 24 days: a timer of Node takes 2^31 - 1 ms and fires at once beyond it.
 * Written as `duration`.
 */
export const wait: Kind<number> = {
  placeholder: 'TIME',
  read: value => readDuration(value, 24),
}

function readDuration(text: string, daysMax: number): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = timeUnits[match?.[2]?.toLowerCase() ?? '?']
  if (!match || unit === undefined) throw new Error('expected a time such as 500ms, 30s, 5m, 24h or 5d')
  const ms = Math.round(Number(match[1]) * unit)
  if (ms > daysMax * timeUnits['d']!) throw new Error(`expected a time of at most ${daysMax}d`)
  return ms
}

/** Where to listen or connect: a host name, an IPv4 or a bracketed IPv6 address, and a port. */
export interface HostPort {
  /** Without brackets; empty in `:8888`, which means every address when listening. */
  readonly host: string
  readonly port: number
}

export const hostPort: Kind<HostPort> = {
  placeholder: 'HOST:PORT',
  read: value => {
    const match = /^(?:\[([0-9a-f:.%]+)\]|([^\s:[\]/]*)):(\d{1,5})$/i.exec(value)
    const port = Number(match?.[3])
    if (!match || port > 65_535) throw new Error('expected HOST:PORT such as 127.0.0.1:2525 or [::1]:2525')
    return { host: match[1] ?? match[2] ?? '', port }
  },
}

/** `127.0.0.1:2525`, `[::1]:2525`. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** The public address of the tracker: http or https, a host, perhaps a path; without slashes at its end. */
export const trackingUrl: Kind<string> = {
  placeholder: 'URL',
  read: value => {
    const url = URL.canParse(value) ? new URL(value) : undefined
    // The parser would drop or change some characters silently; the text itself is what links are made of.
    const isUsable =
      /^https?:\/\/[!-~]+$/i.test(value) &&
      !/[?#\\"'<>]/.test(value) &&
      url !== undefined &&
      url.username === '' &&
      url.password === ''
    if (!isUsable) throw new Error('expected a URL such as https://track.example.com, without query and fragment')
    return value.replace(/\/+$/, '')
  },
}

/** An address block such as `10.0.0.0/8`, or a single address. */
export const network: Kind<Network> = {
  placeholder: 'CIDR',
  read: value => {
    const read = readNetwork(value)
    if (!read) throw new Error('expected a network such as 10.0.0.0/8 or ::1')
    return read
  },
}
