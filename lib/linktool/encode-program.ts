/** `linktool encode`: makes a link as the wrapper would. */
import { LinkKeys } from '../link/keys.ts'
import { linkUrl } from '../link/link-url.ts'
import { actions, signToken } from '../link/token.ts'
import { oneOf, option, path, text, trackingUrl, type Kind, type OptionTable } from '../process/option.ts'
import { type RunnableProgram } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { SettingsError } from '../process/settings.ts'
import { isUsableMessageId, newMessageId } from '../record/message-id.ts'
import { finished } from './finished.ts'
import { print } from './print.ts'

const messageId: Kind<string> = {
  placeholder: 'ID',
  read: value => {
    if (!isUsableMessageId(value)) throw new Error('expected 1 to 64 visible characters without space')
    return value
  },
}

const options = {
  action: option(oneOf(...actions), { help: 'What following the link means.', required: true }),
  'message-id': option(messageId, { help: 'X-Sp-Message-Id of the message; a new one unless set.' }),
  'target-link-url': option(text, { help: 'Where a click leads; required for clicks.' }),
  'link-name': option(text, { help: 'Name of the link in events (target_link_name).' }),
  'rcpt-to': option(text, {
    help: 'Accepted for those who come from the 2020 project, and not put into the link: events get the recipient from the record of the message.',
    secret: true,
  }),
  'tracking-url': option(trackingUrl, {
    help: 'Public address of the tracker, the beginning of the link.',
    env: 'TRACKING_URL',
    required: true,
  }),
  'link-keys': option(path, {
    help: 'File with the key that signs the link.',
    env: 'LINK_KEYS_FILE',
    required: true,
  }),
} satisfies OptionTable

/** Actions that mean a link was followed to somewhere. */
const clicks: ReadonlySet<string> = new Set(['click', 'amp_click', 'link_unsubscribe'])

export const encodeProgram: RunnableProgram<typeof options> = {
  name: 'linktool',
  manual: `
Makes a tracking link, as the wrapper would, and prints it.

  linktool encode --action click --message-id 0000123456789abcdef0 \\
    --target-link-url https://example.com --tracking-url https://track.example.com --link-keys var/link-keys
`,
  options,
  validate: ({ action, targetLinkUrl }) => {
    if (clicks.has(action) && targetLinkUrl === undefined)
      throw new SettingsError(`--target-link-url URL is required for ${action}: where the link leads`)
    if (!clicks.has(action) && targetLinkUrl !== undefined)
      throw new SettingsError(`--target-link-url has no meaning for ${action}, which leads nowhere`)
  },
  start: async ({ settings }) => {
    const { action, targetLinkUrl: url, linkName } = settings
    const messageId = settings.messageId ?? newMessageId(Date.now())
    let token: string
    try {
      const keys = LinkKeys.load(settings.linkKeys)
      token = signToken({ action, messageId, ...(url && { url }), ...(linkName && { linkName }) }, keys)
    } catch (error) {
      throw new StartError((error as Error).message)
    }
    if (settings.rcptTo !== undefined)
      process.stderr.write('linktool: --rcpt-to is not put into the link: links are free of addresses\n')
    await print(linkUrl(settings.trackingUrl, token))
    return finished()
  },
}
