// The contracts of docs/integrate/schemas as types. Written by `make schemas`: don't edit it.

/** Hours of some weekdays, by the wall clock of the person called. */
export interface CallRequestCallingWindowsItem {
  /** at least one of mon, tue, wed, thu, fri, sat, sun */
  days: ("mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun")[];
  /** a time from 00:00 to 23:59, such as 09:00, inclusive */
  from: string;
  /** a time from 00:01 to 24:00, such as 21:30, exclusive */
  to: string;
}

/** an object with maxAttempts, on and onEndedReasons */
export interface CallRequestRedial {
  /** an object of busy, no-answer or failed, each with 1 to 20 delays, each 1 to 2592000 seconds; the last one repeats */
  on?: Record<string, number[]> | null;
  /** an object of at most 20 of AlloMia's reasons for the end of a completed call, each with 1 to 20 delays, each 1 to 2592000 seconds; the last one repeats */
  onEndedReasons?: Record<string, number[]> | null;
  /** required: a whole number from 1 to 99, which counts the first attempt too */
  maxAttempts: number;
}

/** The body of a message on the call queue. Rules that JSON Schema can't express: UTF-8, at most 32768 bytes, no unpaired surrogates; assistantId and phoneNumberId are required if the stack has no default; an organization must be configured in the stack; a time must exist, notBefore be at most 30 days ahead of the message, and notAfter later; a timeZone must exist in the IANA's data; a calling window must end later than it starts; numbers have no fraction, not even .0. Without a requestId, the id of the SQS message is used. */
export interface CallRequest {
  /** 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots */
  requestId?: string | null;
  /** 1 to 32 of the characters a-z 0-9 -, configured in this stack; required where there is no default organization */
  organization?: string | null;
  /** required, E.164: a plus sign, then 9 to 15 digits, the first not 0 */
  phoneNumber: string;
  /** a UUID; required where the stack has no default */
  assistantId?: string | null;
  /** a UUID; required where the stack has no default */
  phoneNumberId?: string | null;
  /** 1 to 200 characters, no control characters */
  customerName?: string | null;
  /** an object of at most 50 strings: names of 1 to 64 characters, values of at most 2000 */
  dynamicVariables?: Record<string, string> | null;
  /** an object of at most 20 strings: names of 1 to 64 characters, values of at most 256 */
  metadata?: Record<string, string> | null;
  /** 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots */
  batch?: string | null;
  /** a time with an offset (RFC 3339), such as 2026-04-01T09:00:00-04:00; at most 30 days ahead */
  notBefore?: string | null;
  /** a time with an offset (RFC 3339), such as 2026-04-01T09:00:00-04:00; later than notBefore */
  notAfter?: string | null;
  /** 1 to 32 of the characters a-z 0-9 -, defined in the calling policy */
  purpose?: string | null;
  /** an IANA time zone, such as America/Toronto */
  timeZone?: string | null;
  /** "always", or a list of 1 to 50 windows; it narrows the policy's windows, and never widens them */
  callingWindows?: "always" | CallRequestCallingWindowsItem[] | null;
  /** an object with maxAttempts, on and onEndedReasons */
  redial?: CallRequestRedial | null;
  /** who goes first when not everyone can be dialled at once: one of urgent, normal, low */
  priority?: "urgent" | "normal" | "low" | null;
}

/** an object with either requestId or batch */
export interface CancelCancel {
  /** 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots */
  requestId?: string | null;
  /** 1 to 128 of the characters A-Z a-z 0-9 . _ - and not only one or two dots */
  batch?: string | null;
}

/** The body of a message on the call queue: a request, or every request of a batch, is not dialled any more. It may arrive before the request itself. */
export interface Cancel {
  /** an object with either requestId or batch */
  cancel: CancelCancel;
  /** 1 to 32 of the characters a-z 0-9 -, configured in this stack */
  organization?: string | null;
}

/** an object with phoneNumber, and until and purposes where it isn't for good or for all */
export interface DoNotCallDoNotCall {
  /** required, E.164: a plus sign, then 9 to 15 digits, the first not 0 */
  phoneNumber: string;
  /** a time with an offset (RFC 3339), such as 2026-04-01T09:00:00-04:00 */
  until?: string | null;
  /** a list of 1 to 50 purposes, each 1 to 32 of the characters a-z 0-9 - */
  purposes?: string[] | null;
}

/** The body of a message on the call queue: a number that is not to be dialled any more. Without an organization it applies to every organization. Only an operator can remove an entry. */
export interface DoNotCall {
  /** an object with phoneNumber, and until and purposes where it isn't for good or for all */
  doNotCall: DoNotCallDoNotCall;
  /** 1 to 32 of the characters a-z 0-9 -, configured in this stack */
  organization?: string | null;
}

/** the call's times, its duration and why it ended; null if AlloMia reported nothing */
export interface CallOutcomeCallDetails {
  /** ISO 8601 */
  startedAt: string | null;
  /** ISO 8601 */
  endedAt: string | null;
  /** seconds, to the microsecond */
  duration: number | null;
  /** AlloMia's free text, e.g. customer-ended-call */
  endedReason: string | null;
}

/** The detail of a `Call Outcome Recorded` event. Ignore fields and codes that you don't know; they may be added. */
export interface CallOutcome {
  /** the version of this contract; a new one means that consumers have to change */
  version: "1";
  /** null for the default organization */
  organization: string | null;
  /** the request's id, or the id of its SQS message if it has none */
  requestId: string;
  /** the number of the dial for this request, from 1; a redial or an operator makes another one */
  attempt: number;
  /** true when nothing more follows for this request; false for unknown, which the real outcome may still replace, and for an outcome that another attempt follows */
  final: boolean;
  /** ISO 8601, UTC: when the next attempt is made at the earliest; null where none follows */
  nextAttemptAt: string | null;
  /** the request's batch; null where it named none */
  batch: string | null;
  /** the request's purpose; null where it named none */
  purpose: string | null;
  /** ISO 8601, UTC: when a cancellation came too late; null where there was none */
  cancelRequestedAt: string | null;
  /** how the attempt ended */
  status: "completed" | "failed" | "busy" | "no-answer" | "rejected" | "cancelled" | "unknown";
  /** whether the person's phone was dialled */
  dialled: "no" | "maybe" | "yes";
  /** why it was rejected, was cancelled or is unknown; null for every other status; such as refused-by-allomia, expired, cancelled, cancelled-unseen, answered-meanwhile, unknown-purpose, no-calling-window, do-not-call, recipient-cap, no-outcome */
  reasonCode: string | null;
  /** AlloMia's id of the call; null if AlloMia reported none */
  outboundCallId: string | null;
  /** AlloMia's id of the person called; null if AlloMia reported none */
  contactId: string | null;
  /** the call's times, its duration and why it ended; null if AlloMia reported nothing */
  callDetails: CallOutcomeCallDetails | null;
  /** where the outcome comes from; sources may be added; such as webhook, poll, call-log, dispatch, deadline, upstream, operator, policy */
  outcomeSource: string;
  /** ISO 8601, UTC */
  recordedAt: string;
  /** the request's metadata, unchanged */
  metadata: Record<string, string>;
}

/** A time zone that the recipient may be in. */
export interface RequestReportAttemptsItemAllowedByZonesItem {
  /** its IANA name */
  timeZone: string;
  /** ISO 8601: what its clocks showed at the dial; absent where its rules aren't known any more */
  localTime?: string;
}

/** what allowed the dial */
export interface RequestReportAttemptsItemAllowedBy {
  /** the version of the calling policy; 0 where none is set but a preset */
  policyVersion: number;
  /** the preset that the policy is based on */
  preset: string;
  /** the time zones that the recipient may be in; empty where no rule of the policy needed one */
  zones: RequestReportAttemptsItemAllowedByZonesItem[];
  /** where the zones come from: the request, the number or the policy; sources may be added */
  zoneSource?: string;
  /** the version of the time-zone data by which it was decided */
  zoneData?: string;
}

/** the call's times, its duration and why it ended, as AlloMia reports them */
export interface RequestReportAttemptsItemCallDetails {
  /** ISO 8601 */
  startedAt?: string;
  /** ISO 8601 */
  endedAt?: string;
  /** seconds, to the microsecond */
  duration?: number;
  /** AlloMia's free text, e.g. customer-ended-call */
  endedReason?: string;
}

/** One dial for a request. */
export interface RequestReportAttemptsItem {
  /** the number of the dial for this request, from 1; a redial or an operator makes another one */
  attempt: number;
  /** the attempt's status */
  status: "scheduled" | "dispatching" | "calling" | "completed" | "failed" | "busy" | "no-answer" | "rejected" | "cancelled" | "unknown";
  /** true when no other status follows for this attempt, and no other attempt */
  final: boolean;
  /** whether the person's phone was dialled */
  dialled: "no" | "maybe" | "yes";
  /** when the request was sent, or its redial was due */
  createdAt: string;
  /** when AlloMia was asked for the call */
  dispatchedAt?: string;
  /** when the poller looks at it next; absent once nothing is left to do */
  dueAt?: string;
  /** how often it was parked */
  timesParked: number;
  /** why it waits, while it is scheduled; such as circuit-open, short-of-time, allomia-unreachable, rate-limited, key-declined, key-unreadable, dial-again, not-before, refused-by-allomia, paused, outside-calling-window, recipient-cap, concurrency-limit, redial, policy-unreadable */
  parkReason?: string;
  /** when another attempt is made after this one */
  nextAttemptAt?: string;
  /** true for a redial that was never dialled: no event reports it, and the request ended with the outcome before */
  isDropped?: boolean;
  /** when a cancellation came too late for it */
  cancelRequestedAt?: string;
  /** what allowed the dial */
  allowedBy?: RequestReportAttemptsItemAllowedBy;
  /** AlloMia's id of the call */
  outboundCallId?: string;
  /** AlloMia's id of the person called */
  contactId?: string;
  /** the id of the call's entry in AlloMia's call log, where it was found there */
  callLogId?: string;
  /** the call's times, its duration and why it ended, as AlloMia reports them */
  callDetails?: RequestReportAttemptsItemCallDetails;
  /** where the outcome comes from; sources may be added; such as webhook, poll, call-log, dispatch, deadline, upstream, operator, policy */
  outcomeSource?: string;
  /** when the outcome was recorded */
  recordedAt?: string;
  /** why it was rejected, was cancelled or is unknown; such as refused-by-allomia, expired, cancelled, cancelled-unseen, answered-meanwhile, unknown-purpose, no-calling-window, do-not-call, recipient-cap, no-outcome */
  reasonCode?: string;
  /** the same in words, or why AlloMia refuses it, for a person */
  reason?: string;
}

/** The answer of the status API. A field without a value is absent. Times are ISO 8601, UTC. Ignore fields and codes that you don't know; they may be added. */
export interface RequestReport {
  /** absent for the default organization */
  organization?: string;
  /** the request's id, or the id of its SQS message if it has none */
  requestId: string;
  /** the status of the last attempt that isn't dropped */
  status: "scheduled" | "dispatching" | "calling" | "completed" | "failed" | "busy" | "no-answer" | "rejected" | "cancelled" | "unknown";
  /** true when nothing more follows for this request */
  final: boolean;
  /** why it waits, while it is scheduled; such as circuit-open, short-of-time, allomia-unreachable, rate-limited, key-declined, key-unreadable, dial-again, not-before, refused-by-allomia, paused, outside-calling-window, recipient-cap, concurrency-limit, redial, policy-unreadable */
  parkReason?: string;
  /** when the attempt that waits is tried next, or when another attempt is made */
  nextAttemptAt?: string;
  /** when it expires, while it waits: its own notAfter, or the policy's, which may still move */
  notAfter?: string;
  /** when a cancellation came too late */
  cancelRequestedAt?: string;
  /** the request's batch */
  batch?: string;
  /** the request's purpose */
  purpose?: string;
  /** the request's metadata, unchanged */
  metadata: Record<string, string>;
  /** in the order in which they were made */
  attempts: RequestReportAttemptsItem[];
}

/** A call's times, its duration and why it ended, as AlloMia reports them. */
export interface WebhookCallDetails {
  /** ISO 8601 */
  startedAt?: string | null;
  /** ISO 8601 */
  endedAt?: string | null;
  /** seconds, to the microsecond */
  duration?: number | null;
  /** AlloMia's free text, e.g. customer-ended-call */
  endedReason?: string | null;
}

/** The body that AlloMia posts to a callback URL when a call has ended, as far as it is read: JSON of at most 262144 bytes. Unknown fields are ignored, and so are optional fields in an undocumented form. Another status is kept as AlloMia's word if it has 1 to 32 letters, hyphens and underscores. */
export interface Webhook {
  outboundCallId?: string | null;
  contactId?: string | null;
  /** required: one of completed, failed, busy, no-answer */
  status: "completed" | "failed" | "busy" | "no-answer";
  callDetails?: WebhookCallDetails | null;
}

/** The message attributes, all of type String, that a message in the invalid-messages queue has. Its body is the message as received, including personal data. */
export interface InvalidMessage {
  /** the field and the rule, for a person */
  reason: string;
  /** the field that breaks its rule; `body` for the whole message; the name of an unknown field */
  field: string;
  /** the rule, in words that may change */
  rule: string;
  /** the id that the message had on the call queue */
  messageId: string;
  /** when the call queue got the message: epoch milliseconds, in digits */
  sentAt?: string;
}

/** The event that a rule's target receives. In an SQS queue it is the body of the message. */
export interface CallOutcomeEvent {
  /** EventBridge's version; this contract's version is in the detail */
  version: "0";
  /** the event's id; an outcome that is published twice has two */
  id: string;
  source: "allomia.outbound-calls";
  "detail-type": "Call Outcome Recorded";
  account: string;
  region: string;
  /** when it was published */
  time: string;
  resources: string[];
  detail: CallOutcome;
}
