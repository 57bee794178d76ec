# SPDX-License-Identifier: Apache-2.0
# The linker does not notice a section on top of the image: both regions have the same addresses.
foreach(chosen zephyr,sram zephyr,flash)
  dt_chosen(node PROPERTY ${chosen})
  if(DEFINED node)
    dt_prop(region PATH ${node} PROPERTY zephyr,memory-region)
    foreach(option ARENA ROW_POOL SUPPORT)
      if(CONFIG_TINYTRAIN_${option}_PLACED AND "${CONFIG_TINYTRAIN_${option}_SECTION}" STREQUAL "${region}")
        message(FATAL_ERROR "expected a region without the image as CONFIG_TINYTRAIN_${option}_SECTION, received "
                            "${region}, which is ${chosen}: leave it empty, or choose another one")
      endif()
    endforeach()
  endif()
endforeach()
