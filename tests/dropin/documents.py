"""The documents that the older service's web and mobile clients send, as they send them."""

ENTRY = """
  id position userId user { id email firstName lastName imageUrl } sessionId status priorityTier joinedAt
  offerSentAt offerExpiresAt offerRespondedAt leftAt"""
CAPACITY = "sessionId maximumCapacity currentAttendance availableSpots isAvailable waitlistCount"
ATTENDANCE = "attendance { id userId sessionId eventId joinedAt leftAt watchDurationSeconds deviceType }"

DOCUMENTS = {
    "sessionWaitlist": f"""
query GetSessionWaitlist($sessionId: ID!, $statusFilter: String) {{
  sessionWaitlist(sessionId: $sessionId, statusFilter: $statusFilter) {{ {ENTRY} }}
}}""",
    "sessionCapacity": f"""
query GetSessionCapacity($sessionId: ID!) {{ sessionCapacity(sessionId: $sessionId) {{ {CAPACITY} }} }}""",
    "sessionWaitlistStats": """
query GetSessionWaitlistStats($sessionId: ID!) {
  sessionWaitlistStats(sessionId: $sessionId) {
    sessionId totalWaiting totalOffered totalAccepted totalDeclined totalExpired totalLeft
    byPriority { vip premium standard redisVip redisPremium redisStandard }
  }
}""",
    "eventWaitlistAnalytics": """
query GetEventWaitlistAnalytics($eventId: ID!) {
  eventWaitlistAnalytics(eventId: $eventId) {
    eventId totalWaitlistEntries activeWaitlistCount totalOffersIssued totalOffersAccepted totalOffersDeclined
    totalOffersExpired acceptanceRate declineRate expiryRate conversionRate averageWaitTimeMinutes cachedAt
    bySession { sessionId sessionTitle waitlistCount offersIssued acceptanceRate }
  }
}""",
    "myWaitlistPosition": """
query MyWaitlistPosition($sessionId: ID!) {
  myWaitlistPosition(sessionId: $sessionId) { position total estimatedWaitMinutes priorityTier status }
}""",
    "myWaitlistEntry": f"""
query MyWaitlistEntry($sessionId: ID!) {{ myWaitlistEntry(sessionId: $sessionId) {{ {ENTRY} joinToken }} }}""",
    "mySchedule": """
query GetMySchedule($eventId: ID!) {
  mySchedule(eventId: $eventId) {
    rsvpId rsvpStatus rsvpAt sessionId title startTime endTime sessionType speakers
  }
}""",
    "virtualAttendanceStats": """
query GetVirtualAttendanceStats($sessionId: ID!) {
  virtualAttendanceStats(sessionId: $sessionId) {
    sessionId totalViews uniqueViewers currentViewers avgWatchDurationSeconds peakViewers
  }
}""",
    "eventVirtualAttendanceStats": """
query GetEventVirtualAttendanceStats($eventId: ID!) {
  eventVirtualAttendanceStats(eventId: $eventId) {
    eventId totalViews uniqueViewers currentViewers avgWatchDurationSeconds
    sessionStats { sessionId totalViews uniqueViewers currentViewers avgWatchDurationSeconds peakViewers }
  }
}""",
    "myVirtualAttendance": """
query GetMyVirtualAttendance($eventId: ID!) {
  myVirtualAttendance(eventId: $eventId) {
    id userId sessionId eventId joinedAt leftAt watchDurationSeconds deviceType
  }
}""",
    "joinWaitlist": f"""
mutation JoinWaitlist($input: JoinWaitlistInput!) {{
  joinWaitlist(input: $input) {{
    id sessionId position priorityTier estimatedWaitMinutes joinedAt success message entry {{ {ENTRY} joinToken }}
  }}
}}""",
    "leaveWaitlist": """
mutation LeaveWaitlist($input: LeaveWaitlistInput!) { leaveWaitlist(input: $input) { success message } }""",
    "acceptWaitlistOffer": """
mutation AcceptWaitlistOffer($input: AcceptOfferInput!) {
  acceptWaitlistOffer(input: $input) { success message sessionId }
}""",
    "declineWaitlistOffer": """
mutation DeclineWaitlistOffer($input: DeclineOfferInput!) {
  declineWaitlistOffer(input: $input) { success message }
}""",
    "removeFromWaitlist": """
mutation RemoveFromWaitlist($input: RemoveFromWaitlistInput!) {
  removeFromWaitlist(input: $input) { success message }
}""",
    "sendWaitlistOffer": """
mutation SendWaitlistOffer($input: SendOfferInput!) {
  sendWaitlistOffer(input: $input) { id sessionId userId status offerSentAt offerExpiresAt }
}""",
    "bulkSendWaitlistOffers": """
mutation BulkSendWaitlistOffers($input: BulkSendOffersInput!) {
  bulkSendWaitlistOffers(input: $input) { success offersSent message }
}""",
    "updateSessionCapacity": """
mutation UpdateSessionCapacity($input: UpdateCapacityInput!) {
  updateSessionCapacity(input: $input) {
    sessionId maximumCapacity currentAttendance availableSpots isAvailable offersAutomaticallySent
  }
}""",
    "joinVirtualSession": f"""
mutation JoinVirtualSession($sessionId: String!, $deviceType: String, $userAgent: String) {{
  joinVirtualSession(sessionId: $sessionId, deviceType: $deviceType, userAgent: $userAgent) {{
    success message {ATTENDANCE}
  }}
}}""",
    "leaveVirtualSession": f"""
mutation LeaveVirtualSession($sessionId: String!) {{
  leaveVirtualSession(sessionId: $sessionId) {{ success message watchDurationSeconds {ATTENDANCE} }}
}}""",
    "rsvpToSession": """
mutation RsvpToSession($input: RsvpToSessionInput!) {
  rsvpToSession(input: $input) { success message rsvp { id sessionId userId eventId status rsvpAt cancelledAt } }
}""",
    "cancelSessionRsvp": """
mutation CancelSessionRsvp($input: CancelSessionRsvpInput!) { cancelSessionRsvp(input: $input) { success message } }""",
}
"""By root field."""
