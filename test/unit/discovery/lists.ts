import type { Member, MemberList } from '../../../src/discovery/member.ts'

export function member(name: string, given: Partial<Member> = {}): Member {
  return {
    name,
    host: name,
    port: 5432,
    serverName: null,
    claim: 'replica, running',
    isLeader: false,
    isBalanced: true,
    zone: null,
    ...given,
  }
}

export function list(members: readonly Member[], given: Partial<MemberList> = {}): MemberList {
  return { members, isPaused: false, validMs: null, complaint: null, ...given }
}
