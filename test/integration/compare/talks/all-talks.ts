import type { Conversation } from '../../../support/conversation.ts'
import { copyTalks } from './copy.ts'
import { crossingTalks } from './crossings.ts'
import { extendedTalks } from './extended.ts'
import { pipelineTalks } from './pipelines.ts'
import { preparedTalks } from './prepared.ts'
import { sessionTalks } from './session.ts'
import { settingTalks } from './settings.ts'
import { simpleTalks } from './simple.ts'
import { transactionTalks } from './transactions.ts'

export const allTalks: readonly Conversation[] = [
  ...simpleTalks,
  ...extendedTalks,
  ...pipelineTalks,
  ...copyTalks,
  ...settingTalks,
  ...transactionTalks,
  ...sessionTalks,
  ...preparedTalks,
  ...crossingTalks,
]
