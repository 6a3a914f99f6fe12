#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_LIMITS_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace agentdesk::domain {

// The sizes that the desk accepts. Characters are code points; everything else is bytes of UTF-8.
inline constexpr int kMaxTicketNameCharacters = 500;
inline constexpr size_t kMaxContentBytes = 32 * 1024;  // also descriptions
inline constexpr size_t kMaxResponseBytes = 16 * 1024;
inline constexpr size_t kMaxSummaryBytes = 4 * 1024;  // also the error of a failed attempt
inline constexpr size_t kMaxJsonBytes = 32 * 1024;    // result, checkpoint, details: each
inline constexpr int kMaxJsonDepth = 32;
inline constexpr int kMaxChoices = 20;
inline constexpr int kMaxChoiceCharacters = 500;
inline constexpr size_t kMaxQuestionBytes = 64 * 1024;  // a question with all its parts
inline constexpr int kMaxLabels = 20;
inline constexpr int kMaxLabelKeyCharacters = 63;
inline constexpr int kMaxLabelValueCharacters = 255;
inline constexpr int kMaxQueueCharacters = 64;
inline constexpr int kMaxQueuesInClaim = 100;
inline constexpr int kMaxPriority = 9;
inline constexpr int kDefaultPriority = 5;
inline constexpr int kMaxAttempts = 100;
inline constexpr int kDefaultAttempts = 5;
inline constexpr int kMaxTimeoutSeconds = 7 * 24 * 3600;
inline constexpr int kMaxRequestIdCharacters = 128;
inline constexpr int kMaxKeyCharacters = 200;     // of a question, message or tool call
inline constexpr int kMaxWorkerCharacters = 200;  // also a tool's name
inline constexpr int kMaxTitleCharacters = 500;
inline constexpr int kMaxOutputTypeCharacters = 64;
inline constexpr int kMaxActivitiesInReport = 100;
inline constexpr int kMaxOpenQuestions = 100;  // in a session
inline constexpr int kMaxMayAnswerEntries = 100;
inline constexpr int kMaxMayAnswerCharacters = 200;
inline constexpr absl::Duration kMaxClaimWait = absl::Seconds(60);
inline constexpr absl::Duration kMinLease = absl::Seconds(1);
inline constexpr absl::Duration kMaxLease = absl::Minutes(10);
inline constexpr absl::Duration kDefaultLease = absl::Seconds(30);
inline constexpr absl::Duration kMinExpiresIn = absl::Seconds(1);
inline constexpr absl::Duration kMaxExpiresIn = absl::Hours(24 * 366);
inline constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
inline constexpr absl::Duration kMaxBackoff = absl::Minutes(5);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_LIMITS_H_
